"""Convolutions in residual pairs, and a last layer that begins by changing almost nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nextframe.layers.fast_conv import FastConv2d


def residual_pairs(width: int, depth: int) -> nn.ModuleList:
    """Return `depth` convolutions, which `run_pairs` adds up two by two."""
    return nn.ModuleList(nn.Sequential(FastConv2d(width, width, 3, 1, 1), nn.PReLU(width)) for _ in range(depth))


def joined(maps: Sequence[Tensor]) -> Tensor:
    """Return maps (B, C_i, H, W) as one, in the order in memory that convolutions are fastest in: channels last."""
    return torch.cat([each.contiguous(memory_format=torch.channels_last) for each in maps], dim=1)


def run_pairs(body: nn.ModuleList, maps: Tensor) -> Tensor:
    """Return maps after every two convolutions of `body` were added to them."""
    for first, second in zip(body[::2], body[1::2], strict=True):
        maps = maps + second(first(maps))
    return maps


def start_small(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Let a last layer begin by changing almost nothing."""
    nn.init.normal_(layer.weight, std=5e-3)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
