"""Mixing of places by dense products, which matrix units are fast at; depthwise kernels leave them idle."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class DenseGate(nn.Module):
    """A square kernel over all channels makes two halves, whose product is added to the input.

    The last layer starts near zero, so the block starts as the identity.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Conv2d(width, 2 * width, kernel, padding=kernel // 2)
        self.reduce = nn.Conv2d(width, width, 1)
        start_near_zero(self.reduce)

    def forward(self, x: Tensor) -> Tensor:
        """Mix x (B, D, h, w)."""
        hidden = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        first, second = self.expand(hidden).chunk(2, dim=1)
        return x + cast(Tensor, self.reduce(first * second))


def along_rows(x: Tensor, kernels: Tensor) -> Tensor:
    """Return x (B, D, h, w) with each column of a channel convolved by its own kernel, as one product of matrices.

    The same as a depthwise convolution with kernels (D, 1, k, 1), k odd, and zeros around; its gradient is a product
    of matrices too, where a GPU's depthwise kernels are slowest.
    """
    channels, length = kernels.shape[0], kernels.shape[2]
    place = torch.arange(x.shape[2], device=x.device)
    tap = place - place[:, None] + length // 2  # (to, from)
    chosen = (torch.arange(length, device=x.device)[:, None, None] == tap).to(kernels.dtype)  # (k, to, from)
    matrices = (kernels.reshape(channels, length) @ chosen.flatten(1)).reshape(channels, *tap.shape)
    return torch.einsum("dij,bdjw->bdiw", matrices, x)


def start_near_zero(layer: nn.Conv2d | nn.Linear) -> None:
    """Give `layer` weights near zero: not exactly, for what is before it must learn from step 1."""
    nn.init.normal_(layer.weight, std=1e-3)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
