"""A row of its own for a model that is tuned on the context frames of each clip before it predicts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextframe.benchmark.real.measure import SEED, Predicts
from nextframe.core.errors import UserError
from nextframe.models.contract import Predictor
from nextframe.prediction.adapt import BEYOND, Adaptation, adapt

ENDING = " --adapt"  # of a row's name: the option of nextframe predict that does the same


class Adapted:
    """Predicts with a copy of `model` that was tuned on the context frames for at most `seconds`, if that helps there.

    `done` says what became of each prediction.
    """

    def __init__(self, model: Predictor, seconds: float, context: int) -> None:
        self.model, self.seconds = model, seconds
        self.context = model.trained.context if model.trained else context  # what it is given in training windows
        self.done: list[Adaptation] = []

    def predict(self, context: Tensor, horizon: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the frames (1, horizon, C, H, W) after context (1, T, C, H, W)."""
        model, done = adapt(self.model, context[0], horizon, self.seconds, context=self.context, seed=SEED)
        self.done.append(done)
        return model.predict(context, horizon, generator=generator)

    def facts(self) -> dict[str, Any]:
        """Return how often the tuned weights were used, of how many predictions, and what they gained there."""
        gains = [one.after - one.before for one in self.done if one.used]
        taken = [one.seconds for one in self.done]
        return {
            "predictions": len(self.done),
            "used": len(gains),
            "gain_on_kept_frames": float(np.mean(gains)) if gains else None,
            "seconds": float(np.mean(taken)) if taken else None,
            "seconds_at_most": self.seconds,
        }


def with_adapted(models: Mapping[str, Predicts], seconds: float | None, given: int) -> dict[str, Predicts]:
    """Return the models and, after each that can be tuned, its row of `Adapted`.

    Args:
        models: by the names of their rows; what predicts like a model, and is none, is not tuned.
        seconds: how long to tune on a clip; None: not at all.
        given: context frames of a clip.

    Raises:
        UserError: no model can be tuned, or there are too few context frames to tune any.
    """
    rows: dict[str, Predicts] = {}
    for name, model in models.items():
        rows[name] = model
        if seconds is not None and isinstance(model, Predictor) and model.stages():
            rows[name + ENDING] = Adapted(model, seconds, given)
    tuned = [row for row in rows.values() if isinstance(row, Adapted)]
    if seconds is not None and not tuned:
        raise UserError("real.adapt: none of the models has weights to tune: add one that is trained, or omit it")
    needed = min((row.context + BEYOND for row in tuned), default=0)
    if given < needed:
        raise UserError(f"real.adapt needs at least {needed} context frames, not {given}: --set real.given=32")
    return rows
