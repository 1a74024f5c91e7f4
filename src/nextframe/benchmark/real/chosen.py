"""A row of its own for a model that predicts with other options than its usual ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nextframe.benchmark.real.measure import Predicts
from nextframe.core.errors import UserError
from nextframe.models.contract import Predictor


class Chosen:
    """Predicts as `model` does with these of its own options."""

    def __init__(self, model: Predictor, options: Mapping[str, Any]) -> None:
        self.model, self.options = model, model.read_options(options)

    def predict(self, context: Tensor, horizon: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the frames (1, horizon, C, H, W) after context (1, T, C, H, W)."""
        return self.model.predict(context, horizon, generator=generator, options=self.options)


def with_chosen(models: Mapping[str, Predictor], options: Mapping[str, Any]) -> dict[str, Predicts]:
    """Return the models and, after each that has such options, its row with them: `NAME OPTION=VALUE`.

    Raises:
        UserError: no model has them, or one has and takes no such value.
    """
    rows: dict[str, Predicts] = {}
    told = " ".join(f"{name}={json.dumps(value)}" for name, value in options.items())
    for name, model in models.items():
        rows[name] = model
        if options and set(options) <= set(model.Options.model_fields):
            rows[f"{name} {told}"] = Chosen(model, options)
    if options and len(rows) == len(models):
        raise UserError(f"real.options: none of the models has {' and '.join(options)}: add one that has, or omit it")
    return rows
