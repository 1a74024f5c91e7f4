"""One ConvLSTM layer over a whole sequence, the building block of the recurrent models."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.layers.gates import Activation, Gate, Gates
from nextframe.layers.recurrence import CachedRecurrence, DirectRecurrence
from nextframe.layers.winograd import POINTS, TILE

LayerState = tuple[Tensor, Tensor]  # hidden and cell, each (B, hidden, H, W)


class ConvLSTMLayer(nn.Module):
    """LSTM whose products are convolutions; zero padding, gate order i, f, c, o, initialised as Keras does.

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
        device = x.device.type
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
    """Whether `CachedRecurrence` is the faster one for x (T, B, H, W, C): large float32 maps on a CPU.

    While a model is exported it is not: ONNX has no operators for what Winograd's method does.
    """
    if torch.compiler.is_exporting():
        return False
    height, width = x.shape[2:4]
    fits = kernel == 1 or (kernel in POINTS and height % TILE == 0 and width % TILE == 0)
    return fits and x.device.type == "cpu" and x.dtype == torch.float32 and height * width >= 1024 and hidden >= 32
