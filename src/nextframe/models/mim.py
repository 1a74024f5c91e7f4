"""MIM: PredRNN whose forget gates are recurrent networks themselves, one for what changes and one for what stays."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.layers.st_lstm import FORGET, SpatioTemporalLSTMCell, gate_maps
from nextframe.models.bases.one_size import OneSizeConfig, OneSizeRecurrent
from nextframe.models.contract import ModelConfig


class MIMConfig(OneSizeConfig):
    """Fields of `mim`; the defaults are those of the standard protocol of Moving MNIST."""

    layers: int = Field(4, ge=2, description="how many layers are on top of one another; the first is PredRNN's")
    norm: bool = Field(False, description="layer norm after the convolutions of the gates")


class PeepholeCell(nn.Module):
    """A convolutional LSTM cell whose gates see its memory too, by weights of every position.

    i and f see the old memory, o the new one. As MIM-N its input is how the layer below changes; as MIM-S its input is
    what MIM-N makes of that, and its hidden state is the memory of the layer that it is in.
    """

    def __init__(self, hidden: int, kernel: int, grid: tuple[int, int], norm: bool) -> None:
        super().__init__()
        self.from_input = gate_maps(hidden, 4 * hidden, kernel, grid if norm else None)
        self.from_hidden = gate_maps(hidden, 4 * hidden, kernel, grid if norm else None)
        self.peepholes = nn.Parameter(torch.zeros(3, hidden, *grid))  # of i, f and o

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Read x; return the new h and c, all of them (B, hidden, H, W)."""
        see_i, see_f, see_o = self.peepholes
        i, g, f, o = (self.from_input(x) + self.from_hidden(h)).chunk(4, dim=1)
        c = (f + c * see_f + FORGET).sigmoid() * c + (i + c * see_i).sigmoid() * g.tanh()
        return (o + c * see_o).sigmoid() * c.tanh(), c


class Layer(NamedTuple):
    """The state of a layer above the first; each map is (B, hidden, H, W)."""

    h: Tensor
    c: Tensor
    stationary: Tensor  # the memory of its MIM-S
    change: tuple[Tensor, Tensor] | None  # h and c of its MIM-N, which sees its first change in the second frame


class MIMBlock(nn.Module):
    """A spatio-temporal LSTM cell with two recurrent cells, MIM-N and then MIM-S, in the place of its forget gate.

    c' = MIM-S(MIM-N(change below), c) + i g, m' = f m + i' g', h' = o tanh(1x1 convolution of (c', m')).
    """

    def __init__(self, hidden: int, kernel: int, grid: tuple[int, int], norm: bool) -> None:
        super().__init__()
        size = grid if norm else None
        self.from_input = gate_maps(hidden, 4 * hidden, kernel, size)
        self.from_hidden = gate_maps(hidden, 3 * hidden, kernel, size)
        self.from_memory = gate_maps(hidden, 4 * hidden, kernel, size)
        self.changing = PeepholeCell(hidden, kernel, grid, norm)
        self.staying = PeepholeCell(hidden, kernel, grid, norm)
        self.mix = nn.Conv2d(2 * hidden, hidden, 1, bias=False)

    def changed(self, below: Tensor | None, state: Layer) -> tuple[Tensor, Tensor] | None:
        """Return h and c of MIM-N after the change of the layer below; None as long as there has been no change."""
        if below is None:
            return None
        h, c = state.change or (torch.zeros_like(below),) * 2
        after: tuple[Tensor, Tensor] = self.changing(below, h, c)
        return after

    def forward(self, x: Tensor, below: Tensor | None, m: Tensor, state: Layer) -> tuple[Layer, Tensor]:
        """Read x, how the layer below changed, and the memory m of all layers; return the new state and memory."""
        change = self.changed(below, state)
        i_x, g_x, f_x, o_x = self.from_input(x).chunk(4, dim=1)
        i_h, g_h, o_h = self.from_hidden(state.h).chunk(3, dim=1)
        i_m, g_m, f_m, o_m = self.from_memory(m).chunk(4, dim=1)
        m = (f_x + f_m + FORGET).sigmoid() * m + (i_x + i_m).sigmoid() * (g_x + g_m).tanh()
        difference = torch.zeros_like(state.h) if change is None else change[0]
        kept, stationary = self.staying(difference, state.c, state.stationary.detach())
        c = kept + (i_x + i_h).sigmoid() * (g_x + g_h).tanh()
        h = (o_x + o_h + o_m).sigmoid() * self.mix(torch.cat([c, m], dim=1)).tanh()
        return Layer(h, c, stationary, change), m


class State(NamedTuple):
    """Output and memory of the first layer, the states of those above, and the memory of all layers."""

    h: Tensor
    c: Tensor
    layers: tuple[Layer, ...]
    m: Tensor
    begun: bool  # whether a frame has been read, so that the next one can differ from it


class MIM(OneSizeRecurrent):
    """PredRNN with memory-in-memory blocks above its first layer, as OpenSTL's code has them.

    That code passes no gradient from one frame to the next through the memory of MIM-S, and neither does this. It also
    begins each sequence with what the last batch left in that memory; here it begins with zero. The 1x1 convolution
    of MIM-N is never called there and has no place here. One size: the gates have weights for every position.
    """

    Config: ClassVar[type[ModelConfig]] = MIMConfig
    idea: ClassVar[str] = "PredRNN with recurrent networks as forget gates: what changes, then what stays."
    when = "To compare with its paper."
    paper: ClassVar[str] = "Memory In Memory (Wang et al., CVPR 2019), arXiv 1811.07490"
    config: MIMConfig

    def __init__(self, config: MIMConfig) -> None:
        super().__init__(config)
        hidden, kernel = config.hidden, config.kernel
        self.first = SpatioTemporalLSTMCell(self.folded, hidden, kernel, self.grid if config.norm else None)
        self.blocks = nn.ModuleList(MIMBlock(hidden, kernel, self.grid, config.norm) for _ in range(config.layers - 1))
        self.head = nn.Conv2d(hidden, self.folded, 1, bias=False)

    def start(self, maps: Tensor) -> State:
        """Return the state before any frame: zeros."""
        blank = maps.new_zeros(maps.shape[0], self.config.hidden, *maps.shape[2:])
        return State(blank, blank, (Layer(blank, blank, blank, None),) * len(self.blocks), blank, begun=False)

    def advance(self, state: State, maps: Tensor) -> tuple[Tensor, State]:
        """Read the folded frame `maps` (B, D, h, w); return the folded next one and the new state."""
        h, c, m = self.first(maps, state.h, state.c, state.m)
        below, x, after = h - state.h if state.begun else None, h, []
        for block, before in zip(self.blocks, state.layers, strict=True):
            layer, m = block(x, below, m, before)
            below, x = layer.change[0] if layer.change else None, layer.h
            after.append(layer)
        return cast(Tensor, self.head(x)), State(h, c, tuple(after), m, begun=True)
