"""PredRNN++: causal LSTM cells, in which one memory feeds the other, and a highway for gradients through time."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.layers.st_lstm import FORGET, blend, gate_maps
from nextframe.models.bases.stacked import StackedConfig, StackedRecurrent
from nextframe.models.contract import ModelConfig

SMALL = 0.001  # the highway's weights start uniform within it: it begins as half of what it held


class PredRNNPlusPlusConfig(StackedConfig):
    """Fields of `predrnn++`; the defaults are those of the standard protocol of Moving MNIST."""

    layers: int = Field(4, ge=2, description="how many cells are on top of one another; the highway is above the first")


class CausalLSTMCell(nn.Module):
    """Two memories one after the other: c changes first, then m by gates that see the new c.

    c' = f c + i g with gates of x, h and c; m' = f' tanh(W m) + i' g' with gates of x, m and c'; h' = o tanh(1x1
    convolution of (c', m')) with o = tanh of x, h, c' and m'.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int, norm: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.from_input = gate_maps(inputs, 7 * hidden, kernel, norm)
        self.from_hidden = gate_maps(hidden, 4 * hidden, kernel, norm)
        self.from_own = gate_maps(hidden, 3 * hidden, kernel, norm)
        self.from_memory = gate_maps(hidden, 3 * hidden, kernel, norm)
        self.from_new_own = gate_maps(hidden, 4 * hidden, kernel, norm)
        self.from_new_memory = gate_maps(hidden, hidden, kernel, norm)
        self.mix = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def forward(self, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Read x (B, inputs, H, W); return the new h, c and m, each (B, hidden, H, W)."""
        i_x, f_x, g_x, i_xm, f_xm, g_xm, o_x = self.from_input(x).chunk(7, dim=1)
        i_h, f_h, g_h, o_h = self.from_hidden(h).chunk(4, dim=1)
        i_c, f_c, g_c = self.from_own(c).chunk(3, dim=1)
        c = torch.sigmoid(f_x + f_h + f_c + FORGET) * c + torch.sigmoid(i_x + i_h + i_c) * torch.tanh(g_x + g_h + g_c)
        i_m, f_m, kept = self.from_memory(m).chunk(3, dim=1)
        i_c, g_c, f_c, o_c = self.from_new_own(c).chunk(4, dim=1)
        m = torch.sigmoid(f_xm + f_m + f_c + FORGET) * kept.tanh()
        m = m + torch.sigmoid(i_xm + i_m + i_c) * torch.tanh(g_xm + g_c)
        out = torch.tanh(o_x + o_h + o_c + self.from_new_memory(m))
        return out * torch.tanh(self.mix(torch.cat([c, m], dim=1))), c, m


class GradientHighway(nn.Module):
    """z' = u tanh(p) + (1 - u) z, with p and u of the lowest layer's output and z: a short way back through time."""

    def __init__(self, hidden: int, kernel: int, norm: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.from_input = gate_maps(hidden, 2 * hidden, kernel, norm)
        self.from_state = gate_maps(hidden, 2 * hidden, kernel, norm)
        for part in (self.from_input, self.from_state):
            nn.init.uniform_(cast(Tensor, part[0].weight), -SMALL, SMALL)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """Return the new z; all are (B, hidden, H, W)."""
        p, u = (self.from_input(x) + self.from_state(z)).chunk(2, dim=1)
        return blend(z, p.tanh(), u.sigmoid())


class State(NamedTuple):
    """The streaming state; each map is (B, hidden, h, w)."""

    layers: tuple[tuple[Tensor, Tensor], ...]  # h and c of each, the lowest first
    m: Tensor  # the top layer's, which the lowest reads next
    z: Tensor  # the highway's


class PredRNNPlusPlus(StackedRecurrent):
    """A stack of causal LSTM cells with a gradient highway between the lowest two; a 1x1 convolution on the top one.

    As OpenSTL's code has it, without biases. That code's cells have one convolution more, which is never called; with
    layer norm it stops with an error, for the norm of its highway has half of the channels: here it has all.
    """

    Config: ClassVar[type[ModelConfig]] = PredRNNPlusPlusConfig
    idea: ClassVar[str] = "LSTM cells in which one memory feeds the other, and a highway for gradients through time."
    when = "To compare with its paper."
    paper: ClassVar[str] = "Wang et al., ICML 2018, arXiv 1804.06300"
    rate: ClassVar[float] = 1e-4
    config: PredRNNPlusPlusConfig

    def __init__(self, config: PredRNNPlusPlusConfig) -> None:
        super().__init__(config)
        hidden = config.hidden
        widths = (self.folded, *[hidden] * (config.layers - 1))
        self.highway = GradientHighway(hidden, config.kernel, self.normed)
        self.cells = nn.ModuleList(CausalLSTMCell(width, hidden, config.kernel, self.normed) for width in widths)
        self.head = nn.Conv2d(hidden, self.folded, 1, bias=False)

    def start(self, maps: Tensor) -> State:
        """Return the state before any frame: zeros."""
        blank = maps.new_zeros(maps.shape[0], self.config.hidden, *maps.shape[2:])
        return State(((blank, blank),) * self.config.layers, blank, blank)

    def advance(self, state: State, maps: Tensor) -> tuple[Tensor, State]:
        """Read the folded frame `maps` (B, D, h, w); return the folded next one and the new state."""
        x, m, z, layers = maps, state.m, state.z, []
        for index, (cell, (h, c)) in enumerate(zip(self.cells, state.layers, strict=True)):
            x, c, m = cell(x, h, c, m)
            layers.append((x, c))
            if index == 0:
                x = z = self.highway(x, z)
        return cast(Tensor, self.head(x)), State(tuple(layers), m, z)
