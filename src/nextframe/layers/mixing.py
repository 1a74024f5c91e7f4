"""Mixing of places on a coarse grid: square and line kernels of each channel, and products that tell motion."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.layers.dense_mix import along_rows, start_near_zero


class LineMixer(nn.Module):
    """A long vertical depthwise kernel, then a long horizontal one: a large receptive field at little cost.

    The horizontal one is a vertical one on the transposed grid: oneDNN runs (k, 1) several times faster than (1, k).
    """

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        shape, padding = (reach, 1), (reach // 2, 0)
        self.vertical = nn.Conv2d(width, width, shape, padding=padding, groups=width)
        self.horizontal = nn.Conv2d(width, width, shape, padding=padding, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix positions of x (B, D, h, w) along columns, then rows."""
        return self.by_products(x) if x.is_cuda else self.by_kernels(x)

    def by_kernels(self, x: Tensor) -> Tensor:
        """Mix by depthwise convolutions."""
        columns = self.vertical(x.contiguous(memory_format=torch.channels_last))
        turned = columns.transpose(2, 3).contiguous(memory_format=torch.channels_last)  # (B, D, w, h)
        return cast(Tensor, self.horizontal(turned)).transpose(2, 3)

    def by_products(self, x: Tensor) -> Tensor:
        """Mix by products of matrices: the same values, several times faster on a GPU, above all backwards."""
        for kernels in (self.vertical, self.horizontal):
            bias = cast(Tensor, kernels.bias)[:, None, None]
            x = (along_rows(x, kernels.weight) + bias).transpose(2, 3)
        return x


class MixBlock(nn.Module):
    """Mix positions within each channel, then channels within each position; the result is added to the input.

    The last layer starts near zero, so the block starts as the identity. After ConvNeXt (Liu et al. 2022). A gated
    block multiplies two halves of `width` instead of bending 2 * `width` channels: products relate where things are
    to how they move (Memisevic 2013), at three quarters of the arithmetic.
    """

    def __init__(self, width: int, places: nn.Module, gated: bool = False) -> None:
        super().__init__()
        self.places = places
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.bend = product_of_halves if gated else F.gelu
        self.reduce = nn.Linear(width if gated else 2 * width, width)
        start_near_zero(self.reduce)

    def forward(self, x: Tensor) -> Tensor:
        """Mix x (B, D, h, w)."""
        hidden = self.norm(self.places(x).permute(0, 2, 3, 1))  # (B, h, w, D)
        mixed = self.reduce(self.bend(self.expand(hidden)))
        return x + cast(Tensor, mixed).permute(0, 3, 1, 2)


def product_of_halves(x: Tensor) -> Tensor:
    """Return the product of the halves of the last axis."""
    first, second = x.chunk(2, dim=-1)
    return first * second


class ProductStem(nn.Module):
    """A convolution, and beside it products of pairs of convolutions: what moved where between the frames folded in.

    Energies of motion are products of filters (Adelson & Bergen 1985); sums alone learn them slowly.
    """

    def __init__(self, fold: int, width: int, pairs: int) -> None:
        super().__init__()
        self.plain = nn.Conv2d(fold, width, 3, padding=1)
        self.pairs = nn.Conv2d(fold, 2 * pairs, 3, padding=1)
        self.mix = nn.Conv2d(pairs, width, 1)
        nn.init.normal_(self.mix.weight, std=1e-2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, h, w) of folded frames (B, fold, h, w)."""
        first, second = self.pairs(x).chunk(2, dim=1)
        return cast(Tensor, self.plain(x) + self.mix(first * second))


def mix_block(width: int, kernel: int, reach: int, index: int, gated: bool) -> MixBlock:
    """Return block `index` of a stack: square kernels and lines alternate, near and far."""
    if index % 2:
        return MixBlock(width, LineMixer(width, reach), gated)
    return MixBlock(width, nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width), gated)
