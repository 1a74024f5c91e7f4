"""E3D-LSTM: a recurrent layer reads a window of frames at once and recalls all that it ever remembered."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.models.bases.one_size import OneSizeConfig, OneSizeRecurrent
from nextframe.models.contract import ModelConfig


class E3DLSTMConfig(OneSizeConfig):
    """Fields of `e3d-lstm`; the defaults are those of the standard protocol of Moving MNIST."""

    window: int = Field(2, ge=1, description="frames that are read at once, and depth of the kernels")
    recall: int | None = Field(None, ge=1, description="how many memories a layer recalls, the latest; none: all")


class Layer(NamedTuple):
    """A layer's state: output and memory, (B, D, T, h, w) with T the window's frames, and all earlier memories."""

    h: Tensor
    c: Tensor
    earlier: Tensor  # (B, N, D), the latest last: what attention looks at

    def recalling(self, memories: int | None) -> Layer:
        """Return this with its memory among the earlier ones, of which the last `memories` are kept."""
        entries = _entries(self.c)
        earlier = torch.cat([self.earlier, entries], dim=1)
        return self._replace(earlier=earlier[:, -memories * entries.shape[1] :] if memories else earlier)


class EideticCell(nn.Module):
    """An LSTM cell of a window of frames, whose forget gate is attention to all its earlier memories.

    c' = norm(c + recalled) + i g with recalled = softmax(r earlier^T) earlier, and h' = o tanh(1x1x1 convolution of
    (c', n)); r, i, g are convolutions of x and h, the passing memory n of x alone, and o of x, h, c' and n.
    """

    def __init__(self, inputs: int, hidden: int, kernel: int, window: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.from_input = _over_window(inputs, 6 * hidden, kernel, window)
        self.from_hidden = _over_window(hidden, 4 * hidden, kernel, window)
        self.norm = nn.LayerNorm((hidden, window, *grid))
        self.from_memory = _over_window(hidden, hidden, kernel, window)
        self.from_passing = _over_window(hidden, hidden, kernel, window)
        self.mix = nn.Conv3d(2 * hidden, hidden, 1, bias=False)

    def forward(self, x: Tensor, state: Layer) -> tuple[Tensor, Tensor]:
        """Read x (B, inputs, T, h, w); return the new output and memory. The state's memory is among the earlier."""
        h, c, earlier = state
        i_x, g_x, r_x, o_x, i_n, g_n = self.from_input(x.flatten(1, 2)).chunk(6, dim=1)
        i_h, g_h, r_h, o_h = self.from_hidden(h.flatten(1, 2)).chunk(4, dim=1)
        asked = _repeated((r_x + r_h).sigmoid(), c)
        earlier = earlier.unsqueeze(1)  # one head, without which ONNX has no attention
        recalled = F.scaled_dot_product_attention(_entries(asked).unsqueeze(1), earlier, earlier, scale=1.0)
        c = self.norm(c + recalled.reshape(c.shape)) + ((i_x + i_h).sigmoid() * (g_x + g_h).tanh()).unsqueeze(2)
        n = _repeated(i_n.sigmoid() * g_n.tanh(), c)
        gate = (o_x + o_h + self.from_memory(c.flatten(1, 2)) + self.from_passing(n.flatten(1, 2))).tanh()
        return self.mix(torch.cat([c, n], dim=1)).tanh() * gate.sigmoid().unsqueeze(2), c


class State(NamedTuple):
    """The frames of the next window that have been read, (B, D, T - 1, h, w), and each layer's state."""

    read: Tensor
    layers: tuple[Layer, ...]


class E3DLSTM(OneSizeRecurrent):
    """Eidetic cells on a sliding window of frames, as OpenSTL's code has them, which differs from the paper in this:

    - The memory that is to go from layer to layer stays zero, as in the authors' code too: each cell hands on what it
      was given. So its gates and a seventh gate of the input do nothing, and have no place here.
    - A convolution is as deep as the window and gives one map for all of it, which is repeated: a 2D convolution of
      the window's frames as channels.
    - Attention compares runs of D numbers in memory order (D, T, h, w), not the D channels of a position.

    Its own memories add up, and so does the work of a step, unless `recall` limits them. The loss is the mean squared
    plus the mean absolute error. One size: memories are normed over all positions.
    """

    Config: ClassVar[type[ModelConfig]] = E3DLSTMConfig
    idea: ClassVar[str] = "Recurrent 3D convolutions on a window of frames; attention recalls earlier memories."
    when = "To compare with its paper."
    paper: ClassVar[str] = "Eidetic 3D LSTM (Wang et al., ICLR 2019)"
    rate: ClassVar[float] = 1e-4
    config: E3DLSTMConfig

    def __init__(self, config: E3DLSTMConfig) -> None:
        super().__init__(config)
        inputs = (self.folded, *(config.hidden,) * (config.layers - 1))
        self.cells = nn.ModuleList(
            EideticCell(width, config.hidden, config.kernel, config.window, self.grid) for width in inputs
        )
        self.head = _over_window(config.hidden, self.folded, 1, config.window)

    def start(self, maps: Tensor) -> State:
        """Return a window of black frames and empty layers."""
        batch, _, *grid = maps.shape
        read = maps.new_zeros(batch, self.folded, self.config.window - 1, *grid)
        blank = maps.new_zeros(batch, self.config.hidden, self.config.window, *grid)
        return State(read, (Layer(blank, blank, maps.new_zeros(batch, 0, self.config.hidden)),) * self.config.layers)

    def advance(self, state: State, maps: Tensor) -> tuple[Tensor, State]:
        """Read the folded frame `maps` (B, D, h, w); return the folded next one and the new state."""
        window = torch.cat([state.read, maps.unsqueeze(2)], dim=2)
        x, after = window, []
        for cell, before in zip(self.cells, state.layers, strict=True):
            layer = before.recalling(self.config.recall)
            x, c = cell(x, layer)
            after.append(Layer(x, c, layer.earlier))
        return cast(Tensor, self.head(x.flatten(1, 2))), State(window[:, :, 1:], tuple(after))

    def errors(self, following: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Return the mean squared and the mean absolute error."""
        return {**super().errors(following, true), "mae": F.l1_loss(following, true)}


def _over_window(inputs: int, outputs: int, kernel: int, window: int) -> nn.Conv2d:
    """Return a 3D convolution as deep as the window, as a 2D one of its frames as channels, (inputs, T) in order."""
    return nn.Conv2d(inputs * window, outputs, kernel, padding=kernel // 2, bias=False)


def _repeated(maps: Tensor, like: Tensor) -> Tensor:
    """Return maps (B, D, h, w) for each frame of the window, in the shape of `like` (B, D, T, h, w)."""
    return maps.unsqueeze(2).expand_as(like)


def _entries(maps: Tensor) -> Tensor:
    """Return maps (B, D, T, h, w) as what attention compares: runs of D numbers (B, T h w, D)."""
    batch = maps.shape[0]  # not len(), which is a plain number: an exported model would take that one batch size only
    return maps.reshape(batch, -1, maps.shape[1])
