"""Winograd's convolution: the arithmetic of large convolutions with many channels on a CPU cut by four to six.

An output tile of 4x4 pixels costs 6x6 products instead of 4x4x3x3 for a 3x3 kernel, 8x8 instead of 4x4x5x5 for a 5x5
one, paid for with additions (small matrix products here) and some rounding: in float32 the result is within about
1e-5 of the largest value, ten times the rounding of a direct convolution. After Lavin and Gray 2015
(arXiv 1509.09308); the matrices are made from the points of the Toom-Cook polynomial product.

`Winograd` has the steps, for loops that reuse memory; `winograd_conv` is one convolution with a gradient. The gradients
are the exact transposes of the forward steps, so they reuse its transformed input. Smaller tiles save less arithmetic,
waste less at the edges of small maps, and round less.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

TILES = {3: 4, 5: 4, 7: 2}  # output pixels per axis of a tile, by kernel
SMALLER = {3: 2, 5: 2}  # another choice of them
POINTS = {  # by size, and infinity
    4: (0.0, 1.0, -1.0),
    6: (0.0, 1.0, -1.0, 2.0, -2.0),
    8: (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5),
}
STRIPE = 32  # rows that are computed at a time if no gradient is needed


def winograd_conv(
    x: Tensor, weight: Tensor, padding: tuple[int, int], tile: int | None = None, spread: Tensor | None = None
) -> Tensor:
    """Return the correlation of x (B, C, H, W) with weight (N, C, k, k), k 3, 5 or 7, zeros around x: (B, N, H', W').

    `tile` is that of `TILES` (None) or `SMALLER`. In float32 the result is within about 1e-5 of its largest value.
    Without gradients the memory besides the result is that of `STRIPE` rows. `spread` is `spread_weight(weight, tile)`
    of a caller who asks again and again: gradients keep it, and many calls the same.
    """
    spread = spread_weight(weight.detach(), tile) if spread is None else spread
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return cast(Tensor, _Convolution.apply(x, weight, padding, spread))  # type: ignore[no-untyped-call]
    return convolve(x, spread, weight.shape[-1], padding)


def convolve(x: Tensor, spread: Tensor, kernel: int, padding: tuple[int, int]) -> Tensor:
    """Return `winograd_conv` with transformed weights, without a gradient."""
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    tops = range(0, x.shape[2] - kernel + 1, STRIPE)
    return torch.cat([_stripe(x[:, :, top : top + STRIPE + kernel - 1], spread, kernel) for top in tops], dim=2)


def _stripe(x: Tensor, spread: Tensor, kernel: int) -> Tensor:
    """Return the correlation of rows x (B, C, H, W) with transformed weights, without padding."""
    conv = Winograd(spread, kernel, (len(x), *x.shape[2:]), (0, 0))
    return conv.map(conv.products(conv.enter(conv.frame(x))))


class _Convolution(torch.autograd.Function):
    """One convolution of a batch: `Winograd`'s steps forward, and back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, padding: tuple[int, int], spread: Tensor) -> Tensor:
        conv = Winograd(spread, weight.shape[-1], (len(x), *x.shape[2:]), padding)
        out = conv.map(conv.products(conv.enter(conv.frame(x))))
        conv.forget()
        ctx.save_for_backward(x, weight)  # not what has entered: that is four times as large, and soon made again
        ctx.conv = conv
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        conv: Winograd = ctx.conv
        by_x, by_weight = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # double backward, as in R1: use operations that are differentiable
            own = {"grad_output": grads[0], "padding": conv.padding}
            x_grad = conv2d_input(x.shape, weight, **own) if by_x else None  # type: ignore[no-untyped-call]
            return x_grad, conv2d_weight(x, weight.shape, **own), None, None  # type: ignore[no-untyped-call]
        sums = torch.empty_like(conv.weight) if by_weight else None
        out = conv.blank(x.shape[1]) if by_x else None
        entered = conv.enter(conv.frame(x))
        conv.back(conv.unmap(grads[0]), entered, sums, out, keep=0)
        conv.forget()  # the graph, which holds it, may live on
        x_grad = None if out is None else conv.inner(out).permute(0, 3, 1, 2)
        return x_grad, None if sums is None else conv.of_weight(sums), None, None


@lru_cache
def transforms(kernel: int, tile: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Return the matrices (of input, of kernel, of product) for a kernel and tile of together 5, 7 or 9.

    With s = tile + kernel - 1: (s, s), (s, kernel) and (tile, s), such that for s inputs d and a kernel g
    product @ ((of_kernel @ g) * (of_input @ d)) are the `tile` outputs of the correlation of d with g.
    """
    size = tile + kernel - 1
    points = torch.tensor(POINTS[size], dtype=torch.float64)

    def powers(count: int) -> Tensor:  # a polynomial's values at the points, and at infinity its last coefficient
        last = torch.eye(count, dtype=torch.float64)[-1:]
        return torch.cat([torch.stack([points**k for k in range(count)], dim=1), last])

    found = torch.linalg.inv(powers(size)).T, powers(kernel), powers(tile).T
    of_input, of_kernel, product = (matrix.to(dtype).contiguous() for matrix in found)
    return of_input, of_kernel, product


def spread_weight(weight: Tensor, tile: int | None = None) -> Tensor:
    """Return weights (N, K, k, k) transformed, (size, size, K, N), which `Winograd` multiplies by; column first.

    `tile` None is that of `TILES`.
    """
    _, of_kernel, _ = transforms(weight.shape[-1], tile or TILES[weight.shape[-1]], weight.dtype)
    return _both(weight.permute(3, 2, 1, 0), of_kernel)


def _both(maps: Tensor, matrix: Tensor) -> Tensor:
    """Multiply both leading axes of maps (a, a, ...) by `matrix` (m, a): (m, m, ...)."""
    first, second, *rest = maps.shape
    rows = matrix.shape[0]
    half = torch.matmul(matrix, maps.reshape(first, second, -1))  # (a, m, rest)
    return torch.mm(matrix, half.view(first, -1)).view(rows, rows, *rest)


class Winograd:
    """A convolution of maps (B, H, W, K) with transformed weights (size, size, K, N), step by step, in reused memory.

    Outputs are in tile order (tile, tile, B, rows of tiles, columns of tiles, N), column within the tile first:
    pixel-wise work does not depend on it. A map with partial tiles is padded with zeros below and to the right.
    """

    def __init__(self, weight: Tensor, kernel: int, shape: tuple[int, int, int], padding: tuple[int, int]) -> None:
        """Plan for maps of `shape` (B, H, W), with zeros of `padding` (above and below, left and right) around them."""
        self.weight, self.kernel, self.padding = weight, kernel, padding
        self.batch, self.height, self.width = shape
        self.size = len(weight)
        self.tile = self.size - kernel + 1
        self.out = self.height + 2 * padding[0] - kernel + 1, self.width + 2 * padding[1] - kernel + 1
        self.rows, self.columns = (-(-side // self.tile) for side in self.out)
        self.order = (self.tile, self.tile, self.batch, self.rows, self.columns)
        self.count = self.batch * self.rows * self.columns
        self.lines, self.line = self.rows * self.tile + kernel - 1, self.columns * self.tile + kernel - 1
        self.of_input, self.of_kernel, self.product = transforms(kernel, self.tile, weight.dtype)
        self._kept: dict[str, Tensor] = {}

    def _room(self, name: str, *shape: int) -> Tensor:
        """Return memory that every call overwrites."""
        if name not in self._kept:
            self._kept[name] = self.weight.new_empty(shape)
        return self._kept[name]

    def forget(self) -> None:
        """Free the reused memory."""
        self._kept.clear()

    def blank(self, channels: int) -> Tensor:
        """Return zero maps with the border that `enter` reads."""
        return self.weight.new_zeros(self.batch, self.lines, self.line, channels)

    def inner(self, padded: Tensor) -> Tensor:
        """View the (B, H, W, C) inside of maps with border."""
        top, left = self.padding
        return padded[:, top : top + self.height, left : left + self.width]

    def frame(self, x: Tensor) -> Tensor:
        """Return maps (B, C, H, W) with their border, as `enter` reads them."""
        (top, left), below, right = self.padding, self.lines - self.height, self.line - self.width
        return F.pad(x.permute(0, 2, 3, 1), (0, 0, left, right - left, top, below - top)).contiguous()

    def tiles(self, maps: Tensor) -> Tensor:
        """View maps of whole tiles, B x H x W x C numbers, in tile order."""
        tiled = maps.view(self.batch, self.rows, self.tile, self.columns, self.tile, -1)
        return tiled.permute(4, 2, 0, 1, 3, 5)

    def map(self, tiles: Tensor) -> Tensor:
        """Return the output (B, N, H', W') from one in tile order."""
        whole = tiles.permute(2, 3, 1, 4, 0, 5).reshape(self.batch, self.rows * self.tile, self.columns * self.tile, -1)
        return whole[:, : self.out[0], : self.out[1]].permute(0, 3, 1, 2)

    def unmap(self, grad: Tensor) -> Tensor:
        """Return the transpose of `map`: (B, N, H', W') in tile order."""
        below, right = self.rows * self.tile - self.out[0], self.columns * self.tile - self.out[1]
        return self.tiles(F.pad(grad.permute(0, 2, 3, 1), (0, 0, 0, right, 0, below)).contiguous()).contiguous()

    def enter(self, padded: Tensor) -> Tensor:
        """Return the transform (size, size, tiles, K) of maps with border, overwritten by the next call."""
        inputs, size = padded.shape[-1], self.size
        line = self.line * inputs
        stripes = self._room("stripes", self.batch, self.rows, size, line)
        for image, stripe in zip(padded, stripes, strict=True):
            shape, strides = (self.rows, size, line), (self.tile * line, line, 1)  # stripes overlap
            seen = image.as_strided(shape, strides, image.storage_offset())
            torch.bmm(self.of_input.expand(self.rows, -1, -1), seen, out=stripe)
        windows = self._room("windows", size, size, self.batch, self.rows, self.columns, inputs)
        overlapping = stripes.view(*stripes.shape[:3], self.line, inputs).unfold(3, size, self.tile)
        windows.copy_(overlapping.permute(5, 2, 0, 1, 3, 4))
        entered = self._room("entered", size, size, self.count, inputs)
        torch.mm(self.of_input, windows.view(size, -1), out=entered.view(size, -1))
        return entered

    def products(self, entered: Tensor, used: int | None = None, out: Tensor | None = None) -> Tensor:
        """Multiply the first `used` channels of entered maps by the weights; return `out`, in tile order."""
        outputs, size = self.weight.shape[-1], self.size
        out = self.weight.new_empty(*self.order, outputs) if out is None else out
        block, half = self._block(outputs), self._half(outputs)
        for column in range(size):  # one at a time: its products are still in the cache when summed
            torch.bmm(entered[column, :, :, :used], self.weight[column, :, :used], out=block)
            torch.mm(self.product, block.view(size, -1), out=half[column])
        torch.mm(self.product, half.view(size, -1), out=out.view(self.tile, -1))
        return out

    def back(
        self,
        grad: Tensor,
        entered: Tensor,
        weight_sum: Tensor | None,
        out: Tensor | None,
        used: int | None = None,
        keep: int = 1,
    ) -> None:
        """Add to `weight_sum` (as `weight`) and write `out`, the gradient of the last channels of the padded maps.

        Either may be None. `keep` 0 overwrites `weight_sum`.
        """
        outputs, size, spread = self.weight.shape[-1], self.size, self.product.T
        block, half = self._block(outputs), self._half(outputs)
        torch.mm(spread, grad.view(self.tile, -1), out=half.view(size, -1))
        entered_grad = None if out is None else out.new_empty(size, size, self.count, out.shape[-1])
        for column in range(size):
            torch.mm(spread, half[column], out=block.view(size, -1))
            if weight_sum is not None:
                weight_sum[column, :, :used].baddbmm_(entered[column, :, :, :used].transpose(1, 2), block, beta=keep)
            if entered_grad is not None:
                last = self.weight[column, :, -entered_grad.shape[-1] :]
                torch.bmm(block, last.transpose(1, 2), out=entered_grad[column])
        if out is not None and entered_grad is not None:
            self._leave(entered_grad, out)

    def _block(self, outputs: int) -> Tensor:
        return self._room("block", self.size, self.count, outputs)

    def _half(self, outputs: int) -> Tensor:
        return self._room("half", self.size, self.tile, self.count * outputs)

    def _leave(self, entered_grad: Tensor, out: Tensor) -> None:
        """Write the gradient of the maps with border: the transpose of `enter`, where windows overlap the sum."""
        channels, size, tile, back = out.shape[-1], self.size, self.tile, self.of_input.T
        windows = torch.mm(back, entered_grad.view(size, -1))
        windows = windows.view(size, size, self.batch, self.rows, self.columns, channels)
        stripes = out.new_zeros(self.batch, self.rows, size, self.line, channels)
        for column in range(size):
            stripes[..., column : column + self.columns * tile : tile, :] += windows[column].permute(1, 2, 0, 3, 4)
        lines = torch.matmul(back, stripes.view(self.batch * self.rows, size, -1))
        lines = lines.view(self.batch, self.rows, size, self.line, channels)
        out.zero_()
        for row in range(size):
            out[:, row : row + self.rows * tile : tile] += lines[:, :, row]

    def of_weight(self, weight_sum: Tensor) -> Tensor:
        """Turn the accumulated `weight_sum` into the gradient of the weights (N, K, k, k)."""
        return _both(weight_sum, self.of_kernel.T).permute(3, 2, 1, 0)
