"""Validation while training: the objectives' loss and the closed-loop error on the first clips of the val split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.seeding import seed_everything
from nextframe.data import ClipSet
from nextframe.models.contract import Predictor, Stage
from nextframe.training.optimizer import Average


def validation_batches(clips: ClipSet, limit: int, batch: int) -> Iterator[Clip]:
    """Yield the first `limit` clips of the validation split, in order, as uint8 batches."""
    count = clips.count("val")
    limit = limit if count is None else min(limit, count)
    for first in range(0, limit, batch):
        yield clips.read("val", np.arange(first, min(first + batch, limit), dtype=np.int64))


@torch.no_grad()
def validate(model: Predictor, stage: Stage, clips: ClipSet, limit: int, batch: int, fabric: Any) -> dict[str, float]:
    """Return {"val/loss", "val/mse"}: the objectives' summed loss, and closed-loop mean squared error per pixel.

    The model is in eval mode; random parts of a loss use one fixed seed, so that validations can be compared.
    """
    seed_everything(0, "validation")
    model.eval()
    sums, seen = {"val/loss": 0.0, "val/mse": 0.0}, 0
    for clip in validation_batches(clips, limit, batch):
        on_device = clip.to(fabric.device)
        with fabric.autocast():
            loss = sum(float(objective.loss(on_device)[0]) for objective in stage.objectives)
            conditions = model.wanted(on_device.conditions)
            future = model.predict(on_device.context, on_device.horizon, conditions=conditions).float()
        sums["val/loss"] += loss * len(clip)
        sums["val/mse"] += float((future - on_device.target).square().mean()) * len(clip)
        seen += len(clip)
    return {name: total / seen for name, total in sums.items()} if seen else {}


@contextmanager
def averaged_weights(model: Predictor, average: Average | None) -> Iterator[None]:
    """Put the averaged weights into `model` for the time of the block; do nothing where there is no average."""
    if average is None:
        yield
        return
    kept: dict[str, Tensor] = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.weights)
    try:
        yield
    finally:
        model.load_state_dict(kept)
