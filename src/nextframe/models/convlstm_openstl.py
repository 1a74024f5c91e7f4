"""ConvLSTM as OpenSTL's benchmark has it: stacked cells on folded frames, without biases and batch norm."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, cast

from pydantic import Field, field_validator
from torch import Tensor, nn

from nextframe.layers.st_lstm import gate_maps
from nextframe.models.bases.stacked import StackedConfig, StackedRecurrent
from nextframe.models.contract import ModelConfig


class ConvLSTMOpenSTLConfig(StackedConfig):
    """Fields of `convlstm-openstl`; the defaults are ConvLSTM-S of the standard protocol of Moving MNIST."""

    hidden: tuple[int, ...] = Field((128, 128, 128, 128), min_length=1, description="channels of each layer's maps")

    @field_validator("hidden")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if min(value) < 1:
            raise ValueError("hidden sizes must be positive")
        return value


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
    """A stack of convolutional LSTM cells, and a 1x1 convolution of the top one's output.

    The baseline of OpenSTL's tables. Its published size has two convolutions in each cell that are never called. The
    model `convlstm` is another: it reads pixels, has biases and batch norm, and a head over three frames.
    """

    Config: ClassVar[type[ModelConfig]] = ConvLSTMOpenSTLConfig
    idea: ClassVar[str] = "Convolutional LSTM cells on frames folded into channels: the baseline of OpenSTL's tables."
    paper: ClassVar[str] = "Shi et al. 2015, arXiv 1506.04214; OpenSTL (Tan et al. 2023), arXiv 2306.11249"
    config: ConvLSTMOpenSTLConfig

    def __init__(self, config: ConvLSTMOpenSTLConfig) -> None:
        super().__init__(config)
        widths = (self.folded, *config.hidden)
        self.cells = nn.ModuleList(
            ConvLSTMCell(before, after, config.kernel, config.grid)
            for before, after in zip(widths, config.hidden, strict=False)
        )
        self.head = nn.Conv2d(config.hidden[-1], self.folded, 1, bias=False)

    def start(self, maps: Tensor) -> State:
        """Return the state before any frame: zeros."""
        blanks = (maps.new_zeros(maps.shape[0], hidden, *maps.shape[2:]) for hidden in self.config.hidden)
        return State(tuple((blank, blank) for blank in blanks))

    def advance(self, state: State, maps: Tensor) -> tuple[Tensor, State]:
        """Read the folded frame `maps` (B, D, h, w); return the folded next one and the new state."""
        x, layers = maps, []
        for cell, (h, c) in zip(self.cells, state.layers, strict=True):
            x, c = cell(x, h, c)
            layers.append((x, c))
        return cast(Tensor, self.head(x)), State(tuple(layers))
