"""ConvLSTM as OpenSTL's benchmark has it: stacked cells on folded frames, without biases and batch norm."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, cast

from torch import Tensor, nn

from nextframe.layers.st_lstm import gate_maps
from nextframe.models.bases.stacked import StackedConfig, StackedRecurrent


class ConvLSTMCell(nn.Module):
    """c' = f c + i g, h' = o tanh(c'), with all gates convolutions of x and h: no biases, no forget bias."""

    def __init__(self, inputs: int, hidden: int, kernel: int, norm: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.from_input = gate_maps(inputs, 4 * hidden, kernel, norm)
        self.from_hidden = gate_maps(hidden, 4 * hidden, kernel, norm)

    def forward(self, x: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs, H, W); return the new h and c, each (B, hidden, H, W)."""
        i, f, g, o = (self.from_input(x) + self.from_hidden(h)).chunk(4, dim=1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c


class State(NamedTuple):
    """The streaming state."""

    layers: tuple[tuple[Tensor, Tensor], ...]  # h and c (B, hidden, h, w) of each, the lowest first


class ConvLSTMOpenSTL(StackedRecurrent):
    """A stack of convolutional LSTM cells, and a 1x1 convolution of the top one's output; by default ConvLSTM-S.

    The baseline of OpenSTL's tables. Its published size has two convolutions in each cell that are never called. The
    model `convlstm` is another: it reads pixels, has biases and batch norm, and a head over three frames.
    """

    idea: ClassVar[str] = "Convolutional LSTM cells on frames folded into channels: the baseline of OpenSTL's tables."
    when = "The baseline row of OpenSTL's tables."
    paper: ClassVar[str] = "Shi et al. 2015, arXiv 1506.04214; OpenSTL (Tan et al. 2023), arXiv 2306.11249"

    def __init__(self, config: StackedConfig) -> None:
        super().__init__(config)
        hidden = config.hidden
        widths = (self.folded, *[hidden] * (config.layers - 1))
        self.cells = nn.ModuleList(ConvLSTMCell(width, hidden, config.kernel, self.normed) for width in widths)
        self.head = nn.Conv2d(hidden, self.folded, 1, bias=False)

    def start(self, maps: Tensor) -> State:
        """Return the state before any frame: zeros."""
        blank = maps.new_zeros(maps.shape[0], self.config.hidden, *maps.shape[2:])
        return State(((blank, blank),) * self.config.layers)

    def advance(self, state: State, maps: Tensor) -> tuple[Tensor, State]:
        """Read the folded frame `maps` (B, D, h, w); return the folded next one and the new state."""
        x, layers = maps, []
        for cell, (h, c) in zip(self.cells, state.layers, strict=True):
            x, c = cell(x, h, c)
            layers.append((x, c))
        return cast(Tensor, self.head(x)), State(tuple(layers))
