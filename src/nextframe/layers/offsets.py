"""Telling a network which frame is asked for: how far after it each of the frames that are read is, in steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def as_forecast(frames: Tensor) -> Tensor:
    """Return how far each of `frames` (B, K, ...) is from the frame after the last: -K to -1, (1, K)."""
    return torch.arange(-frames.shape[1], 0, device=frames.device, dtype=frames.dtype).unsqueeze(0)


def scaled(flow: Tensor, offsets: Tensor, power: int = 1) -> Tensor:
    """Return flows (B, 2K, H, W) of a forecast as they are at `offsets` if motion is even; power -1: the reverse."""
    return flow * (offsets / as_forecast(offsets)).pow(power).repeat_interleave(2, 1)[..., None, None].to(flow)


def enter(layers: nn.Sequential, maps: Tensor, index: Tensor, offsets: Tensor) -> Tensor:
    """Return what `layers` make of `maps`: after the first, `index` (K, D) adds how unlike a forecast `offsets` are."""
    first, *others = layers
    maps = first(maps) + ((offsets - as_forecast(offsets)) @ index)[..., None, None]
    for layer in others:
        maps = layer(maps)
    return maps
