"""One ConvLSTM layer over a whole sequence, the building block of the recurrent models.

Its recurrences have custom gradients: loops that keep only what the backward pass needs, not differentiable twice.
Maps are (H, W, channels) in memory there, frames outermost.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.layers.frame_convs import add_conv, conv_input_grad, conv_weight_grad
from nextframe.layers.lstm import Activation, Gate, Gates
from nextframe.layers.over_time import OverTime
from nextframe.layers.winograd import TILES, Winograd, spread_weight

LayerState = tuple[Tensor, Tensor]  # hidden and cell, each (B, hidden, H, W)
Maps = tuple[Tensor, Tensor, Tensor]
Grads = tuple[Tensor | None, ...]


class ConvLSTMLayer(OverTime):
    """LSTM whose products are convolutions; zero padding, gate order i, f, c, o, initialised as in Keras.

    i, f, o = gate(conv(x) + conv(h) + b), g = act(conv(x) + conv(h) + b), c' = f * c + i * g, h' = o * act(c').
    Shi et al. 2015 (arXiv 1506.04214) without peepholes. `hard_sigmoid` is that of Keras 2: clip(0.2 x + 0.5, 0, 1).
    """

    def __init__(
        self, channels: int, hidden: int, kernel: int, activation: Activation = "tanh", gate: Gate = "sigmoid"
    ) -> None:
        super().__init__()
        self.hidden, self.kernel, self.gates = hidden, kernel, Gates(activation, gate)
        self.input_weight = nn.Parameter(torch.empty(4 * hidden, channels, kernel, kernel))
        self.recurrent_weight = nn.Parameter(torch.empty(4 * hidden, hidden, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(4 * hidden))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw Keras's initial values: Glorot uniform, orthogonal, zero bias but 1 for the forget gate."""
        nn.init.xavier_uniform_(self.input_weight)
        nn.init.orthogonal_(self.recurrent_weight)
        nn.init.zeros_(self.bias)
        nn.init.ones_(self.bias[self.hidden : 2 * self.hidden])

    def forward(self, x: Tensor, state: LayerState | None = None) -> tuple[Tensor, LayerState]:
        """Read x (B, T, C, H, W) from `state` (zeros where None).

        Returns:
            The hidden maps (B, T, hidden, H, W) and the state after the last frame.
        """
        if not self.recomputes:
            return self._read(x, state)
        maps = []
        for frames in torch.split(x, max(1, round(x.shape[1] ** 0.5)), dim=1):  # as much is kept as is computed at once
            part, state = self.checked(self._read, frames, state)
            maps.append(part)
        assert state is not None  # there is a frame
        return torch.cat(maps, dim=1), state

    def _read(self, x: Tensor, state: LayerState | None) -> tuple[Tensor, LayerState]:
        device = "cpu" if x.is_meta else x.device.type  # autocast knows no meta tensors, which only count
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
        weights = [weight.to(dtype) for weight in (self.input_weight, self.recurrent_weight, self.bias)]
        x = x.to(dtype).permute(1, 0, 3, 4, 2)  # (T, B, H, W, C)
        if state is None:
            h, c = None, x.new_zeros(*x.shape[1:-1], self.hidden)
        else:
            h, c = (kept.to(dtype).permute(0, 2, 3, 1) for kept in state)
        with torch.autocast(device, enabled=False):
            recur = self._cached if cache_pays(x, self.kernel, self.hidden) else self._direct
            maps, h, c = recur(x, h, c, *weights)
        return maps.permute(1, 0, 4, 2, 3), (h.permute(0, 3, 1, 2), c.permute(0, 3, 1, 2))

    def _cached(
        self, x: Tensor, h: Tensor | None, c: Tensor, into: Tensor, across: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        both, keep = torch.cat([into, across], dim=1), torch.is_grad_enabled()
        return CachedRecurrence.apply(x, both, bias, h, c, self.gates, keep)  # type: ignore[no-any-return,no-untyped-call]

    def _direct(
        self, x: Tensor, h: Tensor | None, c: Tensor, into: Tensor, across: Tensor, bias: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        frames = x.flatten(0, 1)
        if self.kernel == 1:
            z = torch.addmm(bias, frames.flatten(0, 2), into.flatten(1).T)
        else:
            z = F.conv2d(frames.permute(0, 3, 1, 2), into, bias, padding=self.kernel // 2).permute(0, 2, 3, 1)
        z = z.reshape(*x.shape[:-1], -1)  # (T, B, H, W, 4 hidden)
        return DirectRecurrence.apply(z, across, h, c, self.gates)  # type: ignore[no-any-return,no-untyped-call]


def cache_pays(x: Tensor, kernel: int, hidden: int) -> bool:
    """Whether `CachedRecurrence` is faster for x (T, B, H, W, C): large float32 maps on a CPU.

    Never while a model is exported: ONNX has no operators for Winograd's method.
    """
    if torch.compiler.is_exporting():
        return False
    height, width = x.shape[2:4]
    fits = kernel == 1 or (kernel in (3, 5) and height % TILES[kernel] == 0 and width % TILES[kernel] == 0)
    return fits and x.device.type == "cpu" and x.dtype == torch.float32 and height * width >= 1024 and hidden >= 32


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
