"""Clips turned into other clips that could as well have been filmed, for models that learn from few sources."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from nextframe.core.clip import Clip


def augment(clip: Clip) -> Clip:
    """Return `clip` with every item mirrored left to right or not, upside down or not, and its colours in any order.

    Context and target are changed alike. Drawn from torch's global generator, which the loop seeds by step.
    """
    batch, channels = len(clip), clip.target.shape[2]
    mirrored, turned = torch.rand(2, batch) < 0.5
    order = torch.rand(batch, channels).argsort(dim=1)

    def change(frames: Tensor) -> Tensor:
        frames = _flip(_flip(frames, mirrored, -1), turned, -2)
        index = order.to(frames.device).view(batch, 1, channels, 1, 1).expand_as(frames)
        return frames.gather(2, index)

    return replace(clip, context=change(clip.context), target=change(clip.target))


def _flip(frames: Tensor, which: Tensor, axis: int) -> Tensor:
    return torch.where(which.to(frames.device).view(-1, 1, 1, 1, 1), frames.flip(axis), frames)
