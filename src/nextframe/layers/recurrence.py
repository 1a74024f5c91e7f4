"""The recurrence of a ConvLSTM layer with custom gradients: one whole batch a step, or one item at a time.

Loops that keep only what the backward pass needs, not differentiable twice. Maps are (H, W, channels) in memory, frames
outermost.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nextframe.layers.lstm import Gates
from nextframe.layers.winograd import Winograd, spread_weight

Maps = tuple[Tensor, Tensor, Tensor]
Grads = tuple[Tensor | None, ...]


class DirectRecurrence(torch.autograd.Function):
    """The recurrence with the library's convolution: any device, kernel, size and dtype.

    The loops convolve the hidden map only; the weight gradient is one call over all frames after them.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, h: Tensor | None, c: Tensor, gates: Gates) -> Maps:
        """Add the hidden map's part to `z` (T, B, H, W, 4n), the input's part, which is overwritten.

        `weight` is (4n, n, k, k), h (None: zeros) and c are the maps (B, H, W, n) before the first frame.
        Returns every hidden map (T, B, H, W, n), the last hidden map and the last cell map.
        """
        frames = z.shape[0]
        hidden, candidates, cells = (z.new_empty(frames, *c.shape) for _ in range(3))
        for t in range(frames):
            before = hidden[t - 1] if t else h
            if before is not None:
                add_conv(z[t], before, weight)
            gates.forward(z[t], cells[t - 1] if t else c, candidates[t], cells[t], hidden[t])
        ctx.gates = gates
        ctx.save_for_backward(z, candidates, cells, hidden, weight, h, c)
        return hidden, hidden[-1].clone(), cells[-1].clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, hidden_grad: Tensor, h_grad: Tensor, c_grad: Tensor) -> Grads:
        """Return the gradients of z, weight, h and c."""
        z, candidates, cells, hidden, weight, h, c = ctx.saved_tensors
        z_grad, c_grad = torch.empty_like(z), c_grad.clone()
        for t in reversed(range(len(z))):
            saved = (z[t], candidates[t], cells[t], cells[t - 1] if t else c)
            ctx.gates.backward(hidden_grad[t] + h_grad, c_grad, saved, z_grad[t])
            if t or h is not None:
                h_grad = conv_input_grad(z_grad[t], weight)
        weight_grad = conv_weight_grad(hidden[:-1], z_grad[1:], weight)
        if h is None:
            return z_grad, weight_grad, None, c_grad, None
        return z_grad, weight_grad + conv_weight_grad(h[None], z_grad[:1], weight), h_grad, c_grad, None


class CachedRecurrence(torch.autograd.Function):
    """The whole layer on a CPU, one item of the batch at a time so that its maps stay in the cache.

    The input and the hidden map are convolved together, as one map of C + n channels, by Winograd's method or, if
    the kernel is 1x1, one product. Weight gradients are summed over the frames in the transformed domain.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, h: Tensor | None, c: Tensor, gates: Gates, keep: bool
    ) -> Maps:
        """Read x (T, B, H, W, C) with `weight` (4n, C + n, k, k); `keep` what the backward pass needs.

        h (None: zeros) and c are the maps (B, H, W, n) before the first frame.
        Returns every hidden map (T, B, H, W, n), the last hidden map and the last cell map.
        """
        frames, batch, height, width, _ = x.shape
        n = c.shape[-1]
        conv = same_conv(weight, height, width)
        hidden, last_c = x.new_empty(frames, batch, height, width, n), torch.empty_like(c)
        kept, order = frames if keep else 1, conv.order
        z, candidates = x.new_empty(kept, batch, *order, 4 * n), x.new_empty(kept, batch, *order, n)
        cells = x.new_empty(kept + 1, batch, *order, n)
        reader = _Reader(conv, x, hidden, h)
        for b in range(batch):
            cells[0, b] = conv.tiles(c[b])
            for t in range(frames):
                now, after = (t, t + 1) if keep else (0, (t + 1) % 2)
                conv.products(*reader.read(t, b), z[now, b])
                z[now, b] += bias
                before = cells[t if keep else t % 2, b]
                gates.forward(z[now, b], before, candidates[now, b], cells[after, b], conv.tiles(hidden[t, b]))
            conv.tiles(last_c[b]).copy_(cells[after, b])
        if keep:
            ctx.gates, ctx.conv = gates, conv
            ctx.save_for_backward(x, hidden, h, z, candidates, cells)
        return hidden, hidden[-1].clone(), last_c

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, hidden_grad: Tensor, last_h_grad: Tensor, last_c_grad: Tensor) -> Grads:
        """Return the gradients of x, weight, bias, h and c."""
        x, hidden, h, z, candidates, cells = ctx.saved_tensors
        conv, channels, n = ctx.conv, x.shape[-1], hidden.shape[-1]
        x_grad = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        skip = channels if x_grad is None else 0
        h_grad, c_grad = torch.empty_like(last_h_grad), torch.empty_like(last_c_grad)
        weight_sum, bias_grad = torch.zeros_like(conv.weight), z.new_zeros(4 * n)
        z_grad, cell_grad = torch.empty_like(z[0, 0]), torch.empty_like(cells[0, 0])
        reader, padded = _Reader(conv, x, hidden, h), conv.blank(channels + n - skip)
        from_x, from_h = conv.inner(padded).split([channels - skip, n], dim=-1)
        for b in range(x.shape[1]):
            cell_grad.copy_(conv.tiles(last_c_grad[b]))
            from_h.copy_(last_h_grad[b])
            for t in reversed(range(len(x))):
                saved = (z[t, b], candidates[t, b], cells[t + 1, b], cells[t, b])
                ctx.gates.backward(conv.tiles(from_h + hidden_grad[t, b]), cell_grad, saved, z_grad)
                bias_grad += z_grad.view(-1, 4 * n).sum(0)
                entered, used = reader.read(t, b)
                conv.back(z_grad, entered, weight_sum, padded, used)
                if x_grad is not None:
                    x_grad[t, b] = from_x
            h_grad[b] = from_h
            conv.tiles(c_grad[b]).copy_(cell_grad)
        return x_grad, conv.of_weight(weight_sum), bias_grad, None if h is None else h_grad, c_grad, None, None


class _Reader:
    """Gives the convolution's transformed input of each step: the frame together with the previous hidden map."""

    def __init__(self, conv: Winograd | Dense, x: Tensor, hidden: Tensor, h: Tensor | None) -> None:
        self.conv, self.x, self.hidden, self.h = conv, x, hidden, h
        self.channels, total = x.shape[-1], x.shape[-1] + hidden.shape[-1]
        self.padded = conv.blank(total)

    def read(self, t: int, b: int) -> tuple[Tensor, int]:
        """Return the transformed input (..., C + n), overwritten by the next call, and how many channels are in use."""
        from_x, from_h = self.conv.inner(self.padded).tensor_split([self.channels], dim=-1)
        from_x.copy_(self.x[t, b])
        if t:
            from_h.copy_(self.hidden[t - 1, b])
        elif self.h is not None:
            from_h.copy_(self.h[b])
        else:
            from_h.zero_()
        entered = self.conv.enter(self.padded)
        return entered, self.channels if t == 0 and self.h is None else self.padded.shape[-1]


def same_conv(weight: Tensor, height: int, width: int) -> Winograd | Dense:
    """Return the "same" convolution of one map (H, W, K) with weights (N, K, k, k), k 1, 3 or 5."""
    kernel = weight.shape[-1]
    if kernel == 1:
        return Dense(weight, height, width)
    return Winograd(spread_weight(weight), kernel, (1, height, width), (kernel // 2, kernel // 2))


class Dense:
    """`Winograd`'s steps for a 1x1 convolution of one map: no border, nothing to transform, one product a step."""

    def __init__(self, weight: Tensor, height: int, width: int) -> None:
        self.order = (1, 1, 1, height, width)
        self.weight = weight.flatten(1).T.contiguous()  # (K, N)

    def blank(self, channels: int) -> Tensor:
        """Return a zero map (1, H, W, C)."""
        return self.weight.new_zeros(*self.order[2:], channels)

    def inner(self, padded: Tensor) -> Tensor:
        """Return the map: it has no border."""
        return padded

    def tiles(self, image: Tensor) -> Tensor:
        """View a map (H, W, C) in tile order: a tile is a pixel."""
        return image.view(*self.order, -1)

    def enter(self, padded: Tensor) -> Tensor:
        """View a map as (pixels, K)."""
        return padded.flatten(0, 2)

    def products(self, entered: Tensor, used: int, out: Tensor) -> None:
        """Multiply the first `used` channels by the weights; write the output."""
        torch.mm(entered[:, :used], self.weight[:used], out=out.view(-1, out.shape[-1]))

    def back(self, grad: Tensor, entered: Tensor, weight_sum: Tensor, out: Tensor, used: int) -> None:
        """Add to `weight_sum` and write `out`, the gradient of the last channels of the map."""
        grad = grad.view(-1, grad.shape[-1])
        weight_sum[:used].addmm_(entered[:, :used].T, grad)
        torch.mm(grad, self.weight[-out.shape[-1] :].T, out=out.view(-1, out.shape[-1]))

    def of_weight(self, weight_sum: Tensor) -> Tensor:
        """Turn `weight_sum` into the gradient of the weights (N, K, 1, 1)."""
        return weight_sum.T[:, :, None, None]


def add_conv(z: Tensor, maps: Tensor, weight: Tensor) -> None:
    """Add the 'same' convolution of maps (B, H, W, C) with weight (N, C, k, k) to z (B, H, W, N)."""
    if weight.shape[-1] == 1:
        z.flatten(0, 2).addmm_(maps.flatten(0, 2), weight.flatten(1).T)
    else:
        z += F.conv2d(maps.permute(0, 3, 1, 2), weight, padding=weight.shape[-1] // 2).permute(0, 2, 3, 1)


def conv_input_grad(grad: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient (B, H, W, C) of the maps, from that of the output (B, H, W, N)."""
    if weight.shape[-1] == 1:
        return grad @ weight.flatten(1)
    back = F.conv_transpose2d(grad.permute(0, 3, 1, 2), weight, padding=weight.shape[-1] // 2)
    return back.permute(0, 2, 3, 1)


def conv_weight_grad(maps: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient (N, C, k, k) of the weight from maps (T, B, H, W, C) and grad (T, B, H, W, N)."""
    if maps.numel() == 0:
        return torch.zeros_like(weight)
    if weight.shape[-1] == 1:
        return (grad.flatten(0, 3).T @ maps.flatten(0, 3)).view_as(weight)
    pad = [weight.shape[-1] // 2] * 2
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        grad.flatten(0, 1).permute(0, 3, 1, 2), maps.flatten(0, 1).permute(0, 3, 1, 2), weight,
        None, [1, 1], pad, [1, 1], False, [0, 0], 1, [False, True, False],
    )  # fmt: skip
    return found[1]
