"""One ConvLSTM layer over a whole sequence, the building block of the recurrent models."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Activation = Literal["relu", "tanh"]
Gate = Literal["sigmoid", "hard_sigmoid"]
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
        self.hidden, self.kernel, self.activation, self.gate = hidden, kernel, activation, gate
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
        batch, frames, _, height, width = x.shape
        pad = self.kernel // 2
        act = torch.relu if self.activation == "relu" else torch.tanh
        gate = torch.sigmoid if self.gate == "sigmoid" else _hard_sigmoid
        drive = F.conv2d(x.flatten(0, 1), self.input_weight, self.bias, padding=pad).unflatten(0, (batch, frames))
        h, c = state or (x.new_zeros(batch, self.hidden, height, width),) * 2
        maps = []
        for z in drive.unbind(1):
            z = z + F.conv2d(h, self.recurrent_weight, padding=pad)
            i, f, g, o = z.chunk(4, dim=1)
            c = gate(f) * c + gate(i) * act(g)
            h = gate(o) * act(c)
            maps.append(h)
        return torch.stack(maps, dim=1), (h, c)


def _hard_sigmoid(x: Tensor) -> Tensor:
    return (0.2 * x + 0.5).clamp(0, 1)
