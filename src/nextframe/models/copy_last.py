"""Copy-last: the baseline that says nothing will change."""

from __future__ import annotations

from torch import Tensor

from nextframe.models.contract import Capabilities, Predictor, Request


class CopyLast(Predictor):
    """Every predicted frame is the last context frame."""

    reference = "the last frame"
    idea = "Repeats the last frame: what any model must beat."

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any horizon, one frame of context; nothing to train."""
        return Capabilities(trainable=False, reads=1)

    def forecast(self, request: Request) -> Tensor:
        """Return the last frame `horizon` times, (B, horizon, C, H, W)."""
        return request.context[:, -1:].repeat(1, request.horizon, 1, 1, 1)
