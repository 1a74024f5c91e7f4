"""What models with a discriminator share: the turns of training, and frames that are generated once for both rivals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

from nextframe.core.clip import Clip
from nextframe.models.contract import Objective, Stage

T = TypeVar("T")


class Generated(Generic[T]):
    """What a generator's loss has made of a clip, for its discriminator's loss a moment later."""

    def __init__(self) -> None:
        self.kept: tuple[Clip, T] | None = None

    def keep(self, clip: Clip, made: T) -> None:
        """Keep `made`, without gradients, for one call of `take`."""
        self.kept = clip, made

    def take(self, clip: Clip, make: Callable[[], T]) -> T:
        """Return what was kept of `clip`, and forget it; if that was another clip, what `make` makes now."""
        kept, self.kept = self.kept, None
        if kept is not None and kept[0] is clip:
            return kept[1]
        with torch.no_grad():
            return make()


def in_turn(alone: Objective, rivals: list[Objective], pretrain: float) -> list[Stage]:
    """Return the stages: the generator alone for the part `pretrain` of a run, in [0, 1), then the rivals in turn."""
    adversarial = Stage("adversarial", rivals, share=1 - pretrain)
    return [Stage("pretrain", [alone], share=pretrain), adversarial] if pretrain else [adversarial]
