"""Mean-neighbours: the baseline of interpolation, halfway between two frames pixel by pixel."""

from __future__ import annotations

from torch import Tensor

from nextframe.models.contract import Capabilities, Predictor, Request


class MeanNeighbours(Predictor):
    """The frame in the middle is the mean of the frame before and the frame after."""

    reference = "the mean of both neighbours"
    idea = "The mean of the frame before and the frame after: what any interpolation must beat."
    when = "As the measure of interpolation."

    @property
    def capabilities(self) -> Capabilities:
        """Two frames, the one between them; any size; nothing to train."""
        return between_two()

    def forecast(self, request: Request) -> Tensor:
        """Return the middle frame (B, 1, C, H, W) of context (B, 2, C, H, W)."""
        return request.context.mean(1, keepdim=True)


def between_two() -> Capabilities:
    """Return what a baseline of interpolation can take."""
    return Capabilities(
        trainable=False, min_context=2, max_context=2, max_horizon=1, forecasts=False, interpolates=True
    )
