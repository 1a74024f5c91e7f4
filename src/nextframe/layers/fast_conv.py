"""Convolutions that take a CPU less time: Winograd's arithmetic for many channels, for whole batches, with gradients.

An output tile of 4x4 pixels costs 8x8 products for a 5x5 kernel instead of 4x4x5x5; `winograd` has the matrices and
what they cost in rounding. All steps are matrix products over (places, channels) maps, channels last.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from nextframe.layers.winograd import transforms

TILES = {3: 4, 5: 4, 7: 2}  # output pixels per axis of a tile, by kernel
WORTH = {3: 40, 5: 20, 7: 40}  # with fewer channels in x out / (in + out) a direct convolution is faster, by kernel
PLACES = 64  # tiles below which it is, too
STRIPE = 32  # rows that are worked on at a time where no gradient is wanted


class FastConv2d(nn.Conv2d):
    """`nn.Conv2d`, computed by `winograd_conv` where that is faster: on a CPU, in float32, with many channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x (B, C, H, W)."""
        if not self._suits(x):
            return super().forward(x)
        out = winograd_conv(x, self.weight, cast(tuple[int, int], self.padding))
        return out if self.bias is None else out + self.bias[:, None, None]

    def _suits(self, x: Tensor) -> bool:
        kernel = self.kernel_size[0]
        plain = self.stride == self.dilation == (1, 1) and self.groups == 1 and kernel == self.kernel_size[1]
        inputs, outputs = self.in_channels, self.out_channels
        if not plain or inputs * outputs / (inputs + outputs) < WORTH.get(kernel, inputs):
            return False
        tiles = x.shape[0] * x.shape[2] * x.shape[3] // TILES[kernel] ** 2
        exact = x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return x.device.type == "cpu" and exact and tiles >= PLACES


def winograd_conv(x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
    """Return the correlation of x (B, C, H, W) with weight (N, C, k, k), k 3, 5 or 7, zeros around x: (B, N, H', W').

    In float32 it is within about 1e-5 of the largest value of the result. Without gradients the memory beside the
    result is that of `STRIPE` rows.
    """
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return cast(Tensor, _Winograd.apply(x, weight, padding))  # type: ignore[no-untyped-call]
    kernel = weight.shape[-1]
    of_input, of_kernel, product = _matrices(kernel, x.dtype)
    weights = _both(weight.permute(3, 2, 1, 0), of_kernel).flatten(0, 1)  # (S*S, C, N)
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    parts = []
    for top in range(0, padded.shape[2] - kernel + 1, STRIPE):
        part = padded[:, :, top : top + STRIPE + kernel - 1]
        grid = _Grid(part.shape, kernel, (0, 0))
        parts.append(grid.leave(torch.bmm(grid.enter(part, of_input), weights), product))
    return torch.cat(parts, dim=2)


@lru_cache
def _matrices(kernel: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    of_input, of_kernel, product = transforms(kernel, TILES[kernel])
    return of_input.to(dtype).contiguous(), of_kernel.to(dtype).contiguous(), product.to(dtype).contiguous()


class _Winograd(torch.autograd.Function):
    """S = tile + kernel - 1; T = batch x tile rows x tile columns; the column within a tile is the first axis."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
        kernel = weight.shape[-1]
        grid = _Grid(x.shape, kernel, padding)
        of_input, of_kernel, product = _matrices(kernel, x.dtype)
        entered = grid.enter(x, of_input)  # (S*S, T, C)
        weights = _both(weight.permute(3, 2, 1, 0), of_kernel).flatten(0, 1)  # (S*S, C, N)
        ctx.save_for_backward(entered, weights, x, weight)
        ctx.grid = grid
        return grid.leave(torch.bmm(entered, weights), product)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        entered, weights, x, weight = ctx.saved_tensors
        grid: _Grid = ctx.grid
        if torch.is_grad_enabled():  # these gradients get their own, as in R1: by operations that have them
            own = {"grad_output": grads[0], "padding": grid.padding}
            by_x = conv2d_input(x.shape, weight, **own) if ctx.needs_input_grad[0] else None  # type: ignore[no-untyped-call]
            return by_x, conv2d_weight(x, weight.shape, **own), None  # type: ignore[no-untyped-call]
        of_input, of_kernel, product = _matrices(grid.kernel, entered.dtype)
        spread = grid.spread(grads[0], product)  # (S*S, T, N)
        x_grad = weight_grad = None
        if ctx.needs_input_grad[1]:
            sums = torch.bmm(entered.transpose(1, 2), spread)  # (S*S, C, N)
            both = _both(sums.view(grid.size, grid.size, *sums.shape[1:]), of_kernel.T.contiguous())
            weight_grad = both.permute(3, 2, 1, 0)
        if ctx.needs_input_grad[0]:
            x_grad = grid.enter_back(torch.bmm(spread, weights.transpose(1, 2)), of_input)
        return x_grad, weight_grad, None


def _both(maps: Tensor, matrix: Tensor) -> Tensor:
    """Multiply both leading axes of maps (a, b, ...) by `matrix` (m, a), a = b: (m, m, ...)."""
    first, second, *rest = maps.shape
    rows = matrix.shape[0]
    half = torch.matmul(matrix, maps.reshape(first, second, -1))  # (a, m, rest)
    return torch.mm(matrix, half.view(first, -1)).view(rows, rows, *rest)


class _Grid:
    """The tiles of one convolution: how many, and how maps enter and leave them."""

    def __init__(self, shape: torch.Size, kernel: int, padding: tuple[int, int]) -> None:
        self.batch, self.channels, self.height, self.width = shape
        self.kernel, self.padding, self.tile = kernel, padding, TILES[kernel]
        self.size = self.tile + kernel - 1
        self.out = self.height + 2 * padding[0] - kernel + 1, self.width + 2 * padding[1] - kernel + 1
        self.rows, self.columns = (-(-side // self.tile) for side in self.out)
        self.padded = self.rows * self.tile + kernel - 1, self.columns * self.tile + kernel - 1

    def enter(self, x: Tensor, of_input: Tensor) -> Tensor:
        """Return the transformed windows (S*S, T, C) of x (B, C, H, W)."""
        top, left = self.padding
        below, right = self.padded[0] - self.height - top, self.padded[1] - self.width - left
        size, tile = self.size, self.tile
        padded = F.pad(x.permute(0, 2, 3, 1), (0, 0, left, right, top, below))  # (B, Hp, Wp, C)
        windows = padded.unfold(1, size, tile).permute(4, 0, 1, 2, 3)  # (S, B, rows, Wp, C)
        stripes = torch.mm(of_input, windows.reshape(size, -1))
        stripes = stripes.view(size, self.batch, self.rows, self.padded[1], self.channels)
        windows = stripes.unfold(3, size, tile).permute(5, 0, 1, 2, 3, 4)  # (S, S, B, rows, columns, C)
        return torch.mm(of_input, windows.reshape(size, -1)).view(size * size, -1, self.channels)

    def leave(self, products: Tensor, product: Tensor) -> Tensor:
        """Return the map (B, N, H', W') of products (S*S, T, N)."""
        channels, tile = products.shape[2], self.tile
        tiles = _both(products.view(self.size, self.size, -1), product)
        tiles = tiles.view(tile, tile, self.batch, self.rows, self.columns, channels)
        whole = tiles.permute(2, 3, 1, 4, 0, 5).reshape(self.batch, self.rows * tile, self.columns * tile, channels)
        return whole[:, : self.out[0], : self.out[1]].permute(0, 3, 1, 2)

    def spread(self, grad: Tensor, product: Tensor) -> Tensor:
        """Return the transpose of `leave`: (S*S, T, N) for the gradient of its result."""
        channels, tile = grad.shape[1], self.tile
        below, right = self.rows * tile - self.out[0], self.columns * tile - self.out[1]
        whole = F.pad(grad.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below))
        tiles = whole.view(self.batch, self.rows, tile, self.columns, tile, channels).permute(4, 2, 0, 1, 3, 5)
        return _both(tiles.reshape(tile, tile, -1), product.T.contiguous()).view(self.size**2, -1, channels)

    def enter_back(self, grad: Tensor, of_input: Tensor) -> Tensor:
        """Return the transpose of `enter`: the gradient of x, where windows overlap the sum."""
        size, tile, channels = self.size, self.tile, self.channels
        back = of_input.T.contiguous()
        windows = torch.mm(back, grad.view(size, -1))
        windows = windows.view(size, size, self.batch, self.rows, self.columns, channels)
        stripes = grad.new_zeros(size, self.batch, self.rows, self.padded[1], channels)
        for place in range(size):
            stripes[:, :, :, place : place + self.columns * tile : tile] += windows[place]
        lines = torch.mm(back, stripes.view(size, -1)).view(size, self.batch, self.rows, self.padded[1], channels)
        whole = grad.new_zeros(self.batch, *self.padded, channels)
        for place in range(size):
            whole[:, place : place + self.rows * tile : tile] += lines[place]
        top, left = self.padding
        return whole[:, top : top + self.height, left : left + self.width].permute(0, 3, 1, 2)
