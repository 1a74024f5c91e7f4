"""Augmentation: clips changed into other plausible clips, for models that learn from few sources."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.seeds.noise import integers, uniform


def augment(clip: Clip) -> Clip:
    """Return `clip` with every item mirrored left to right or not, and upside down or not.

    Colours are unchanged: what blinks or cycles through a palette does so in an order that can be learned.

    Context and target are changed alike, conditions are not: do not use this with actions that have a direction.
    Drawn clip by clip inside a scope of `clip_noise`.
    """
    mirrored, turned = (uniform((len(clip), 2), clip.context.device) < 0.5).unbind(1)

    def change(frames: Tensor) -> Tensor:
        return _flip(_flip(frames, mirrored, -1), turned, -2)

    return _changed(clip, change)


def cropped(clip: Clip, side: int) -> Clip:
    """Return a square of `side` pixels of each item, at a place drawn for it; a shorter side stays whole.

    Context and target are cropped alike. Drawn clip by clip inside a scope of `clip_noise`.
    """
    height, width = clip.context.shape[-2:]
    tall, wide = min(side, height), min(side, width)
    tops, lefts = (
        integers(spare + 1, (len(clip),), clip.context.device).tolist() for spare in (height - tall, width - wide)
    )
    places = list(zip(tops, lefts, strict=True))

    def change(frames: Tensor) -> Tensor:
        return torch.stack(
            [item[..., top : top + tall, left : left + wide] for item, (top, left) in zip(frames, places, strict=True)]
        )

    return _changed(clip, change)


def _changed(clip: Clip, change: Callable[[Tensor], Tensor]) -> Clip:
    return replace(clip, context=change(clip.context), target=change(clip.target))


def _flip(frames: Tensor, which: Tensor, axis: int) -> Tensor:
    return torch.where(which.view(-1, 1, 1, 1, 1), frames.flip(axis), frames)
