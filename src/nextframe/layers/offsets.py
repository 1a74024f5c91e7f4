"""Telling a network which frame is asked for: how far after it each of the frames that are read is, in steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nextframe.core.conditions import OFFSETS, Conditions
from nextframe.layers.window import as_many


def as_forecast(frames: Tensor) -> Tensor:
    """Return how far each of `frames` (B, K, ...) is from the frame after the last: -K to -1, (1, K)."""
    return torch.arange(-frames.shape[1], 0, device=frames.device, dtype=frames.dtype).unsqueeze(0)


def scaled(flow: Tensor, offsets: Tensor, power: int = 1, unit: float = 1.0) -> Tensor:
    """Return flows (B, 2K, H, W) of a forecast as they are at `offsets` if motion is even; power -1: the reverse.

    Times `unit`.
    """
    ratio = (offsets / as_forecast(offsets)).pow(power).repeat_interleave(2, 1)[..., None, None]
    return flow * (ratio * unit).to(flow)


def enter(maps: Tensor, layers: nn.Sequential, index: Tensor, offsets: Tensor) -> Tensor:
    """Return what `layers` after the first, which made `maps`, make of them and of how unlike a forecast `offsets` are.

    `index` (K, D) turns that into a number that is added to each of the D maps.
    """
    maps = maps.add_(((offsets - as_forecast(offsets)) @ index)[..., None, None])  # they are new: nobody else's
    for layer in list(layers)[1:]:
        maps = layer(maps)
    return maps


def in_steps(offsets: Tensor, frames: Tensor, count: int) -> Tensor:
    """Return how far after the target frame each of the last `count` frames is, (B, count), in steps of the last two.

    Args:
        offsets: (B, T), in any unit.
        frames: the frames, whose type and device the result has.
        count: as many; the first is repeated if there are fewer.
    """
    offsets = as_many(offsets.to(frames), count)
    return offsets / (offsets[:, -1:] - offsets[:, -2:-1])


def offsets_of(conditions: Conditions, frames: Tensor, count: int) -> Tensor | None:
    """Return the `offsets` among the conditions `in_steps`, None if there are none."""
    return in_steps(conditions[OFFSETS], frames, count) if OFFSETS in conditions else None
