"""Winograd's convolution: the arithmetic of large 'same' convolutions on a CPU cut by four to six.

An output tile of 4x4 pixels costs 6x6 products instead of 4x4x3x3 for a 3x3 kernel, 8x8 instead of 4x4x5x5 for a 5x5
one, paid for with additions (small matrix products here) and some rounding: in float32 the result is within about
1e-5 of the largest value, ten times the rounding of a direct convolution. After Lavin and Gray 2015
(arXiv 1509.09308); the matrices are made from the points of the Toom-Cook polynomial product.

The gradients are the exact transposes of the forward steps, so they reuse its transformed input.
"""

from __future__ import annotations

import torch
from torch import Tensor

TILE = 4  # output pixels per tile and axis
POINTS = {3: (0.0, 1.0, -1.0, 2.0, -2.0), 5: (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)}  # and infinity


def transforms(kernel: int, tile: int = TILE) -> tuple[Tensor, Tensor, Tensor]:
    """Return (of input, of kernel, of product) for a kernel and tile of together 7 or 9, as float64 matrices.

    With s = tile + kernel - 1: (s, s), (s, kernel) and (tile, s), such that for s inputs d and a kernel g
    product @ ((of_kernel @ g) * (of_input @ d)) are the `tile` outputs of the correlation of d with g.
    """
    size = tile + kernel - 1
    points = torch.tensor(POINTS[size - TILE + 1], dtype=torch.float64)

    def powers(count: int) -> Tensor:  # a polynomial's values at the points, and at infinity its last coefficient
        last = torch.eye(count, dtype=torch.float64)[-1:]
        return torch.cat([torch.stack([points**k for k in range(count)], dim=1), last])

    return torch.linalg.inv(powers(size)).T, powers(kernel), powers(tile).T


class Winograd:
    """A 'same' convolution of one map (H, W, K) with weights (N, K, k, k), step by step, in reused memory.

    Outputs are in tile order (TILE, TILE, H / TILE, W / TILE, N), column within the tile first: pixel-wise work does
    not care, and `tiles` views any (H, W, C) map in that order. H and W must be multiples of TILE.
    """

    def __init__(self, weight: Tensor, height: int, width: int) -> None:
        outputs, inputs, kernel, _ = weight.shape
        self.rows, self.columns, self.size = height // TILE, width // TILE, TILE + kernel - 1
        self.count = self.rows * self.columns
        of_input, of_kernel, product = (m.to(weight) for m in transforms(kernel))
        self.of_input, self.of_kernel = of_input.contiguous(), of_kernel
        self.product, self.spread = product.contiguous(), product.T.contiguous()
        self.weight = torch.einsum("ak,bl,nclk->abcn", of_kernel, of_kernel, weight).contiguous()
        self.order = (TILE, TILE, self.rows, self.columns)
        self.padded_shape = (height + kernel - 1, width + kernel - 1)
        self.border = kernel // 2
        size, new = self.size, weight.new_empty
        self._stripe = new(self.rows, size, self.padded_shape[1] * inputs)
        self._window = new(size, size, self.rows, self.columns, inputs)
        self._entered = new(size, size, self.count, inputs)
        self._block = new(size, self.count, outputs)
        self._half = new(size, TILE * self.count * outputs)

    def blank(self, channels: int) -> Tensor:
        """Return a zero map with the border that `enter` reads."""
        return self.weight.new_zeros(*self.padded_shape, channels)

    def inner(self, padded: Tensor) -> Tensor:
        """View the (H, W, C) inside of a map with border."""
        return padded[self.border : self.border + self.rows * TILE, self.border : self.border + self.columns * TILE]

    def tiles(self, image: Tensor) -> Tensor:
        """View a map (H, W, C) in tile order."""
        tiled = image.view(self.rows, TILE, self.columns, TILE, -1)
        return tiled.permute(3, 1, 0, 2, 4)

    def enter(self, padded: Tensor) -> Tensor:
        """Return the transform (size, size, tiles, K) of a map with border, valid until the next call."""
        _, width, inputs = padded.shape
        line = width * inputs
        stripes = padded.as_strided((self.rows, self.size, line), (TILE * line, line, 1), padded.storage_offset())
        torch.bmm(self.of_input.expand(self.rows, -1, -1), stripes, out=self._stripe)
        self._window.copy_(self._windows(self._stripe, inputs))
        torch.mm(self.of_input, self._window.view(self.size, -1), out=self._entered.view(self.size, -1))
        return self._entered

    def _windows(self, stripe: Tensor, channels: int) -> Tensor:
        """View stripes as (size, size, rows, columns, channels), overlapping columns, column first."""
        lines = stripe.view(self.rows, self.size, self.padded_shape[1], channels)
        return lines.unfold(2, self.size, TILE).permute(4, 1, 0, 2, 3)

    def products(self, entered: Tensor, used: int, out: Tensor) -> None:
        """Multiply the first `used` channels of an entered map by the weights; write the output, in tile order."""
        half = self._half.view(self.size, TILE, -1)
        for line in range(self.size):  # one line at a time: its products are still in the cache when summed
            torch.bmm(entered[line, :, :, :used], self.weight[line, :, :used], out=self._block)
            torch.mm(self.product, self._block.view(self.size, -1), out=half[line])
        torch.mm(self.product, self._half, out=out.view(TILE, -1))

    def back(self, grad: Tensor, entered: Tensor, used: int, weight_sum: Tensor, out: Tensor) -> None:
        """Add to `weight_sum` (as `weight`) and write `out`, the gradient of the last channels of the padded map."""
        skip = self.weight.shape[2] - out.shape[-1]
        entered_grad = out.new_empty(self.size, self.size, self.count, out.shape[-1])
        torch.mm(self.spread, grad.view(TILE, -1), out=self._half)
        half = self._half.view(self.size, TILE, -1)
        for line in range(self.size):
            torch.mm(self.spread, half[line], out=self._block.view(self.size, -1))
            weight_sum[line, :, :used].baddbmm_(entered[line, :, :, :used].transpose(1, 2), self._block)
            torch.bmm(self._block, self.weight[line, :, skip:].transpose(1, 2), out=entered_grad[line])
        self._leave(entered_grad, out)

    def _leave(self, entered_grad: Tensor, out: Tensor) -> None:
        """Write the gradient of the map with border: the transpose of `enter`."""
        channels = out.shape[-1]
        window = torch.mm(self.of_input.T, entered_grad.view(self.size, -1))
        window = window.view(self.size, self.size, self.rows, self.columns, channels)
        stripe = out.new_zeros(self.rows, self.size, self.padded_shape[1], channels)
        end = (self.columns - 1) * TILE
        for column in range(self.size):
            stripe[:, :, column : column + end + 1 : TILE].add_(window[column].permute(1, 0, 2, 3))
        lines = torch.matmul(self.of_input.T, stripe.view(self.rows, self.size, -1))
        lines = lines.view(self.rows, self.size, self.padded_shape[1], channels)
        out.zero_()
        end = (self.rows - 1) * TILE
        for row in range(self.size):
            out[row : row + end + 1 : TILE].add_(lines[:, row])

    def of_weight(self, weight_grad: Tensor) -> Tensor:
        """Turn the accumulated `weight_grad` into the gradient of the weights (N, K, k, k)."""
        return torch.einsum("ak,bl,abcn->nclk", self.of_kernel, self.of_kernel, weight_grad)


class Dense:
    """The same for a 1x1 convolution: no border, nothing to transform, one product over all pixels."""

    def __init__(self, weight: Tensor, height: int, width: int) -> None:
        self.order = (1, 1, height, width)
        self.weight = weight.flatten(1).T.contiguous()  # (K, N)

    def blank(self, channels: int) -> Tensor:
        """Return a zero map."""
        return self.weight.new_zeros(*self.order[2:], channels)

    def inner(self, padded: Tensor) -> Tensor:
        """Return the map: it has no border."""
        return padded

    def tiles(self, image: Tensor) -> Tensor:
        """View a map (H, W, C) in tile order: a tile is a pixel."""
        return image[None, None]

    def enter(self, padded: Tensor) -> Tensor:
        """View a map as (pixels, K)."""
        return padded.flatten(0, 1)

    def products(self, entered: Tensor, used: int, out: Tensor) -> None:
        """Multiply the first `used` channels by the weights; write the output."""
        torch.mm(entered[:, :used], self.weight[:used], out=out.view(-1, out.shape[-1]))

    def back(self, grad: Tensor, entered: Tensor, used: int, weight_sum: Tensor, out: Tensor) -> None:
        """Add to `weight_sum` and write `out`, the gradient of the last channels of the map."""
        grad = grad.view(-1, grad.shape[-1])
        weight_sum[:used].addmm_(entered[:, :used].T, grad)
        torch.mm(grad, self.weight[-out.shape[-1] :].T, out=out.view(-1, out.shape[-1]))

    def of_weight(self, weight_sum: Tensor) -> Tensor:
        """Turn `weight_sum` into the gradient of the weights (N, K, 1, 1)."""
        return weight_sum.T[:, :, None, None]
