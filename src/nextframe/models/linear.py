"""Linear: the baseline that lets every pixel go on changing as it just did."""

from __future__ import annotations

import torch
from torch import Tensor

from nextframe.models.contract import Capabilities, Predictor, Request


class Linear(Predictor):
    """Frame k is x_T + k * (x_T - x_{T-1}), clamped to [0, 1]."""

    idea = "Extrapolates each pixel along the line through the last two frames."

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any horizon, two frames of context; nothing to train."""
        return Capabilities(trainable=False, min_context=2, reads=2)

    def forecast(self, request: Request) -> Tensor:
        """Return (B, horizon, C, H, W); the line is followed from the last frame, not from clamped predictions."""
        context = request.context
        last, change = context[:, -1:], context[:, -1:] - context[:, -2:-1]
        steps = torch.arange(1, request.horizon + 1, device=context.device, dtype=context.dtype)
        return (last + steps.view(1, -1, 1, 1, 1) * change).clamp(0, 1)
