"""The stacks of convolutions that generate a frame at one of four scales (Mathieu, Couprie & LeCun 2016, table 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from nextframe.layers.fast_conv import FastConv2d

SCALES = 4
# maps in units of the width, and kernels, coarse to fine
MAPS = ((1, 2, 1), (1, 2, 1), (1, 2, 4, 2, 1), (1, 2, 4, 2, 1))
KERNELS = ((3, 3, 3, 3), (5, 3, 3, 5), (5, 3, 3, 3, 3, 5), (7, 5, 5, 5, 5, 7))

Weighted = nn.Conv2d | nn.Linear
Start = Callable[[Sequence[Weighted]], None]  # sets the initial weights of layers


def start_normal(layers: Sequence[Weighted], gain: float) -> None:
    """Set normal weights of variance `gain` over the inputs of a unit, and no biases: gain 2 is He's, 1 LeCun's."""
    for layer in layers:
        nn.init.normal_(layer.weight, std=(gain / layer.weight[0].numel()) ** 0.5)
        nn.init.zeros_(cast(Tensor, layer.bias))


def painter(scale: int, inputs: int, outputs: int, width: int, start: Start) -> nn.Sequential:
    """Return the layers of scale 0 (coarsest) to 3, (B, inputs, h, w) to (B, outputs, h, w), ReLU between them."""
    layers: list[nn.Module] = []
    *kernels, last = KERNELS[scale]
    for maps, kernel in zip([m * width for m in MAPS[scale]], kernels, strict=True):
        layers += [FastConv2d(inputs, maps, kernel, padding=kernel // 2), nn.ReLU()]
        inputs = maps
    layers.append(FastConv2d(inputs, outputs, last, padding=last // 2))
    start(cast(list[nn.Conv2d], layers[::2]))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]
