"""Copy-last: the baseline that says nothing will change."""

from __future__ import annotations

from collections.abc import Iterator

from nextframe.models.contract import Block, Capabilities, Predictor, Request


class CopyLast(Predictor):
    """Every predicted frame is the last context frame."""

    reference = "the last frame"
    idea = "Repeats the last frame: what any model must beat."
    when = "As the measure of all others, and for still cameras: what does not beat it has learned nothing useful."

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any horizon, one frame of context; nothing to train."""
        return Capabilities(trainable=False, reads=1)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Yield the last frame `horizon` times."""
        for _ in range(request.horizon):
            yield Block(request.context[:, -1:])
