"""The one roll-out: it turns a model that predicts the next frame, or the next few, into one for any horizon."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from nextframe.models.request import Block, gathered

__all__ = ["Block", "roll_on", "roll_out"]


def roll_on(
    advance: Callable[[Tensor], Tensor], context: Tensor, horizon: int, clamp: bool = True, least: int = 1
) -> Iterator[Block]:
    """Yield at least `horizon` frames, one call's at a time, by feeding predictions back; the last T are held.

    Args:
        advance: takes (B, T, C, H, W) and returns the k >= 1 frames after them, (B, k, C, H, W).
        context: (B, T, C, H, W); every call sees the last T frames, context or predicted.
        horizon: how many frames.
        clamp: whether predicted frames are clamped to [0, 1] before they are seen and yielded; not so for a model
            that is trained on what it sees here, as a clamped value has no gradient.
        least: how many frames are held if T is less: calls see more and more, until there are as many.
    """
    length, made = max(context.shape[1], least), 0
    while made < horizon:
        following = advance(context)
        following = following.clamp(0, 1) if clamp else following
        made += following.shape[1]
        yield Block(following)
        if made < horizon:
            context = torch.cat([context, following], dim=1)[:, -length:]


def roll_out(advance: Callable[[Tensor], Tensor], context: Tensor, horizon: int, clamp: bool = True) -> Tensor:
    """Return what `roll_on` yields, as one (B, horizon, C, H, W)."""
    return gathered(roll_on(advance, context, horizon, clamp), horizon).frames
