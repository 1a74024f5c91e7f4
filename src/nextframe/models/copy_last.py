"""Copy-last: the baseline that says nothing will change."""

from __future__ import annotations

import torch
from torch import Tensor

from nextframe.models.contract import Capabilities, Predictor


class CopyLast(Predictor):
    """Every predicted frame is the last context frame."""

    idea = "Repeats the last frame: what any model must beat."

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any horizon, one frame of context; nothing to train."""
        return Capabilities(trainable=False, reads=1)

    def forecast(self, context: Tensor, horizon: int, generator: torch.Generator | None) -> Tensor:
        """Return the last frame `horizon` times, (B, horizon, C, H, W)."""
        return context[:, -1:].repeat(1, horizon, 1, 1, 1)
