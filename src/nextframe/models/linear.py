"""Linear: the baseline that lets every pixel go on changing as it just did."""

from __future__ import annotations

from collections.abc import Iterator

from nextframe.models.contract import Block, Capabilities, Predictor, Request


class Linear(Predictor):
    """Frame k is x_T + k * (x_T - x_{T-1}), clamped to [0, 1]."""

    idea = "Extrapolates each pixel along the line through the last two frames."
    when = "For steady fades. On moving objects it is worse than repeating the last frame."

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any horizon, two frames of context; nothing to train."""
        return Capabilities(trainable=False, min_context=2, reads=2)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Yield frame after frame; the line is followed from the last frame, not from clamped predictions."""
        last, change = request.context[:, -1:], request.context[:, -1:] - request.context[:, -2:-1]
        for step in range(1, request.horizon + 1):
            yield Block((last + step * change).clamp(0, 1))
