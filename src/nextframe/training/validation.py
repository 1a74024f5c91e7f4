"""Validation while training: the objectives' loss and the closed-loop error on the first clips of the val split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.seeds.noise import clip_noise
from nextframe.core.seeds.seeding import seed_everything
from nextframe.data import ClipSet
from nextframe.data.clipset import Indices
from nextframe.metrics import find_metric
from nextframe.models.contract import Predictor, Stage
from nextframe.training.optim.optimizer import Average
from nextframe.training.parallel.arithmetic import Arithmetic
from nextframe.training.recipe import TrainingConfig

EVERY = 500  # steps between validations, where a recipe says nothing
TIMES = 10  # that a run which is given minutes is validated at least, then


class Cadence:
    """When a run is validated: a laptop takes few steps in two minutes, and the best weights may be early ones."""

    def __init__(self, config: TrainingConfig) -> None:
        self.every = config.val_every or EVERY
        self.timed = config.val_every is None and config.minutes is not None
        self._part: int | None = None  # of the run, that the last step lay in; None: it has just begun, or is resumed

    def is_due(self, step: int, progress: float) -> bool:
        """Return whether to validate after step `step`, when `progress` of the run, in [0, 1], is spent."""
        before, self._part = self._part, int(TIMES * progress)
        begins = self.timed and before is not None and self._part > before
        return begins or progress >= 1 or step % self.every == 0


def validation_batches(clips: ClipSet, limit: int, batch: int, first: int = 0, every: int = 1) -> Iterator[Indices]:
    """Yield the indices of the first `limit` validation clips, in order, `batch` at a time.

    Several processes share them: batches `first`, `first` + `every` and so on are one's.
    """
    count = clips.count("val")
    limit = limit if count is None else min(limit, count)
    for start in range(first * batch, limit, every * batch):
        yield np.arange(start, min(start + batch, limit), dtype=np.int64)


@torch.no_grad()
def validate(
    model: Predictor,
    stage: Stage,
    clips: ClipSet,
    config: TrainingConfig,
    arithmetic: Arithmetic,
) -> dict[str, float]:
    """Return {"val/loss", "val/mse"}: the objectives' summed loss, and closed-loop mean squared error per pixel.

    So is each of `config.metrics`, under its name: closed loop, on predictions in [0, 1].

    The model is in eval mode; random parts of a loss use one fixed seed for each batch, so that validations can be
    compared. Every process takes its share of the batches, and returns the values over all of them.
    """
    model.eval()
    device, processes = arithmetic.device, arithmetic.processes
    sums = dict.fromkeys(["val/loss", "val/mse", *(f"val/{name}" for name in config.metrics), "seen"], 0.0)
    for indices in validation_batches(clips, config.val_clips, config.batch, processes.rank, processes.world):
        seed_everything(0, "validation", int(indices[0]))
        clip = clips.on_device("val", clips.read("val", indices), device)
        with (
            clip_noise(0, "validation", int(indices[0]), index=torch.arange(len(clip), device=device)),
            arithmetic.autocast(),
        ):
            loss = sum(float(objective.loss(clip)[0]) for objective in stage.objectives)
            future = model.predict(clip.context, clip.horizon, conditions=model.wanted(clip.conditions)).float()
        for name, value in {"val/loss": loss, **_measured(future, clip, config.metrics), "seen": 1.0}.items():
            sums[name] += value * len(clip)
    totals = processes.total(sums)
    seen = totals.pop("seen")
    return {name: total / seen for name, total in totals.items()} if seen else {}


def _measured(future: Tensor, clip: Clip, metrics: Sequence[str]) -> dict[str, float]:
    """Return the mean squared error, and each of `metrics`, of a predicted future (B, T, C, H, W)."""
    values = {"val/mse": float((future - clip.target).square().mean())}
    for name in metrics:
        values[f"val/{name}"] = float(find_metric(name, clip.context).function(future, clip.target).mean())
    return values


@contextmanager
def averaged_weights(model: Predictor, average: Average | None) -> Iterator[None]:
    """Put the averaged weights into `model` for the time of the block; do nothing if there is no average."""
    if average is None:
        yield
        return
    kept: dict[str, Tensor] = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.weights)
    try:
        yield
    finally:
        model.load_state_dict(kept)
