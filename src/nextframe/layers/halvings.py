"""Convolutions to an eighth of the size and back to all of it, and an estimator of flows that is made of both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.layers.fast_conv import FastConv2d
from nextframe.layers.grid import pad_to_multiple
from nextframe.layers.sampling import precise

Conv = TypeVar("Conv", nn.Conv2d, nn.ConvTranspose2d)
COARSEST = 8  # pixels of a place at an eighth of the size
PIXELS = 4.0  # of a flow of 1 inside networks
SLOPE = 0.2  # of leaky ReLUs


def started(layer: Conv) -> Conv:
    """Return a convolution, transposed or not, with He's initial weights and no biases."""
    transposed = layer.stride[0] ** 2 if isinstance(layer, nn.ConvTranspose2d) else 1  # outputs that share the taps
    inputs = layer.in_channels * layer.kernel_size[0] ** 2 / transposed
    nn.init.normal_(layer.weight, std=(2 / inputs) ** 0.5)
    nn.init.zeros_(cast(Tensor, layer.bias))
    return layer


class Halvings(nn.Module):
    """Three strided convolutions, to an eighth of the size."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        sizes = ((inputs, width, 5), (width, 2 * width, 3), (2 * width, 4 * width, 3))
        self.layers = nn.ModuleList(started(nn.Conv2d(a, b, size, 2, size // 2)) for a, b, size in sizes)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Return the maps of (N, C, H, W) at 1/8, 1/4 and 1/2 of the size: 4, 2 and 1 times the width of them."""
        found: list[Tensor] = []
        for layer in self.layers:
            frames = F.leaky_relu(layer(frames), SLOPE)
            found.insert(0, frames)
        return found


class Doublings(nn.Module):
    """Three transposed convolutions, to the full size; the maps at 1/4 and 1/2 of `Halvings` come in on the way."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.first = started(nn.ConvTranspose2d(inputs, 2 * width, 4, 2, 1))
        sizes = (2 * width, width)
        self.mixes = nn.ModuleList(started(FastConv2d(2 * maps, maps, 3, padding=1)) for maps in sizes)
        self.ups = nn.ModuleList(started(nn.ConvTranspose2d(maps, width, 4, 2, 1)) for maps in sizes)
        self.out = started(nn.Conv2d(width, outputs, 3, padding=1))
        nn.init.normal_(self.out.weight, std=1e-3)

    def forward(self, coarse: Tensor, seen: Sequence[Tensor]) -> Tensor:
        """Return (N, outputs, H, W) of (N, D, H / 8, W / 8) and maps at 1/4 and 1/2; near zero before training."""
        finer = F.leaky_relu(self.first(coarse), SLOPE)
        for mix, up, maps in zip(self.mixes, self.ups, seen, strict=True):
            mixed = F.leaky_relu(mix(torch.cat([finer, maps], dim=1)), SLOPE)
            finer = F.leaky_relu(up(mixed), SLOPE)
        return precise(self.out(finer))


class FlowEstimator(nn.Module):
    """The flow between two frames; gradients reach both through it."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.halvings, self.doublings = Halvings(2 * channels, width), Doublings(4 * width, width, 2)

    def forward(self, frames: Tensor, others: Tensor) -> Tensor:
        """Return the flow (N, 2, H, W) in pixels from `frames` (N, C, H, W) in [0, 1] to `others`, of any size."""
        height, width = frames.shape[-2:]
        coarse, *maps = self.halvings(pad_to_multiple(torch.cat([frames, others], dim=1) - 0.5, COARSEST))
        return cast(Tensor, self.doublings(coarse, maps))[..., :height, :width] * PIXELS
