"""The stacks of convolutions that paint a frame at one of four scales (Mathieu, Couprie & LeCun 2016)."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

from nextframe.layers.winograd import FastConv2d

Init = Literal["he", "torch", "lecun", "tf"]
SCALES = 4
# maps in units of the width, and kernels, coarse to fine
MAPS = ((1, 2, 1), (1, 2, 1), (1, 2, 4, 2, 1), (1, 2, 4, 2, 1))
KERNELS = ((3, 3, 3, 3), (5, 3, 3, 5), (5, 3, 3, 3, 3, 5), (7, 5, 5, 5, 5, 7))


def painter(scale: int, inputs: int, outputs: int, width: int, init: Init, quiet: bool) -> nn.Sequential:
    """Return the convolutions of scale 0 (coarsest) to 3, (B, inputs, h, w) to (B, outputs, h, w), ReLU between them.

    `quiet`: the last layer starts near zero.
    """
    layers: list[nn.Module] = []
    *kernels, last = KERNELS[scale]
    for maps, kernel in zip([m * width for m in MAPS[scale]], kernels, strict=True):
        layers += [FastConv2d(inputs, maps, kernel, padding=kernel // 2), nn.ReLU()]
        inputs = maps
    layers.append(FastConv2d(inputs, outputs, last, padding=last // 2))
    for layer in layers[::2]:
        _start(cast(nn.Conv2d, layer), init)
    if quiet:
        nn.init.normal_(cast(Tensor, layers[-1].weight), std=1e-3)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def _start(layer: nn.Conv2d, init: Init) -> None:
    """Set initial weights: He's, which keep the size of a signal, Chainer's, the TensorFlow port's, or torch's own."""
    bias = cast(Tensor, layer.bias)
    if init in ("he", "lecun"):
        nn.init.normal_(layer.weight, std=({"he": 2, "lecun": 1}[init] / layer.weight[0].numel()) ** 0.5)
        nn.init.zeros_(bias)
    elif init == "tf":
        nn.init.trunc_normal_(layer.weight, std=0.01, a=-0.02, b=0.02)
        nn.init.constant_(bias, 0.1)
