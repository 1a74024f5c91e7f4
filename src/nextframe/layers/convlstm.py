"""One ConvLSTM layer over a whole sequence, the building block of the recurrent models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.core.kernels import current
from nextframe.core.kernels.race import Ways, example
from nextframe.layers.lstm import Activation, Gate, Gates
from nextframe.layers.over_time import OverTime
from nextframe.layers.recurrence import CachedRecurrence, DirectRecurrence, Maps
from nextframe.layers.winograd import TILES

LayerState = tuple[Tensor, Tensor]  # hidden and cell, each (B, hidden, H, W)
DIRECT, CACHED = "direct", "one item at a time"  # what is cached are the maps, in the processor
LITTLE = 1 << 24  # multiplications of a frame below which there is nothing to win
SAMPLE = (3, 2)  # frames and items that are raced at most


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
            maps, h, c = self.by(self._kernel(x), x, h, c, weights)
        return maps.permute(1, 0, 4, 2, 3), (h.permute(0, 3, 1, 2), c.permute(0, 3, 1, 2))

    def by(self, kernel: str, x: Tensor, h: Tensor | None, c: Tensor, weights: Sequence[Tensor]) -> Maps:
        """Read x (T, B, H, W, C) from h (None: zeros) and c (B, H, W, hidden) by one of `kernels`.

        `weights` are the layer's own: input's, recurrent ones, bias. Returns all hidden maps (T, B, H, W, hidden), the
        last one and the last cell.
        """
        into, across, bias = weights
        if kernel == CACHED:
            both, keep = torch.cat([into, across], dim=1), torch.is_grad_enabled()
            return cast(Maps, CachedRecurrence.apply(x, both, bias, h, c, self.gates, keep))  # type: ignore[no-untyped-call]
        frames = x.flatten(0, 1)
        if self.kernel == 1:
            z = torch.addmm(bias, frames.flatten(0, 2), into.flatten(1).T)
        else:
            z = F.conv2d(frames.permute(0, 3, 1, 2), into, bias, padding=self.kernel // 2).permute(0, 2, 3, 1)
        z = z.reshape(*x.shape[:-1], -1)  # (T, B, H, W, 4 hidden)
        return cast(Maps, DirectRecurrence.apply(z, across, h, c, self.gates))  # type: ignore[no-untyped-call]

    def kernels(self, x: Tensor) -> tuple[str, ...]:
        """Return the names of the kernels that can read x (T, B, H, W, C), torch's own convolution first."""
        height, width = x.shape[2:4]
        fits = self.kernel in (3, 5) and height % TILES[self.kernel] == 0 and width % TILES[self.kernel] == 0
        return (DIRECT, CACHED) if self.kernel == 1 or fits else (DIRECT,)

    def _kernel(self, x: Tensor) -> str:
        """Return the name of the kernel to compute with."""
        names, (height, width) = self.kernels(x), x.shape[2:4]
        exporting = torch.compiler.is_exporting()  # ONNX has no operators for Winograd's method
        if len(names) == 1 or exporting or x.device.type != "cpu" or x.dtype != torch.float32:
            return DIRECT
        fixed = CACHED if height * width >= 1024 and self.hidden >= 32 else DIRECT
        products = height * width * 4 * self.hidden * (x.shape[-1] + self.hidden) * self.kernel**2
        if products < LITTLE or torch.compiler.is_compiling():
            return fixed
        learns = torch.is_grad_enabled(), x.requires_grad
        size, threads = "x".join(map(str, x.shape)), torch.get_num_threads()
        how = f"{self.gates.activation} {self.gates.gate}, gradients {learns}, float32, {threads} threads"
        what = f"ConvLSTM {self.kernel}x{self.kernel} of {size} to {self.hidden}, {how}"
        return current().pick(what, names, fixed, Race(self, x, learns).ways)


class Race:
    """What races for a layer on x (T, B, H, W, C): its kernels on an example of few frames and items."""

    def __init__(self, layer: ConvLSTMLayer, x: Tensor, learns: tuple[bool, bool]) -> None:
        gates = layer.gates
        self.layer = (x.shape[-1], layer.hidden, layer.kernel, gates.activation, gates.gate)
        self.x = (min(x.shape[0], SAMPLE[0]), min(x.shape[1], SAMPLE[1]), *x.shape[2:])
        self.learns, self.x_learns = learns

    def ways(self) -> Ways:
        """Return the kernels, each with its gradients if there are any."""
        with torch.random.fork_rng(devices=[]):  # initial weights draw numbers
            layer = ConvLSTMLayer(*self.layer)
        x = example(*self.x).requires_grad_(self.learns and self.x_learns)
        return {name: self._way(layer, name, x) for name in layer.kernels(x)}

    def _way(self, layer: ConvLSTMLayer, kernel: str, x: Tensor) -> Callable[[], object]:
        weights = [layer.input_weight, layer.recurrent_weight, layer.bias]
        wanted = [x, *weights] if x.requires_grad else weights
        cell = x.new_zeros(*x.shape[1:-1], layer.hidden)

        def compute() -> object:
            with torch.set_grad_enabled(self.learns), torch.autocast("cpu", enabled=False):
                maps = layer.by(kernel, x, None, cell, weights)[0]
                return torch.autograd.grad(maps, wanted, maps.detach()) if self.learns else maps

        return compute
