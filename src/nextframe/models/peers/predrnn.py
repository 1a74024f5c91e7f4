"""A plain PredRNN, version 1: each cell's convolutions one by one, frame after frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.models.peers.peer import StreamingPeer

if TYPE_CHECKING:
    from nextframe.models.predrnn import PredRNNConfig


def conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Return a convolution that keeps the size, without bias."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)


class Cell(nn.Module):
    """The spatio-temporal LSTM cell (Wang et al. 2017, arXiv 2103.09504)."""

    def __init__(self, inputs: int, hidden: int, kernel: int) -> None:
        super().__init__()
        self.conv_x, self.conv_h = conv(inputs, 7 * hidden, kernel), conv(hidden, 4 * hidden, kernel)
        self.conv_m, self.conv_o = conv(hidden, 3 * hidden, kernel), conv(2 * hidden, hidden, kernel)
        self.last = conv(2 * hidden, hidden, 1)

    def forward(self, x: Tensor, h: Tensor, c: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the new h, c and m."""
        i_x, f_x, g_x, i_xm, f_xm, g_xm, o_x = self.conv_x(x).chunk(7, dim=1)
        i_h, f_h, g_h, o_h = self.conv_h(h).chunk(4, dim=1)
        i_m, f_m, g_m = self.conv_m(m).chunk(3, dim=1)
        c = torch.sigmoid(f_x + f_h + 1) * c + torch.sigmoid(i_x + i_h) * torch.tanh(g_x + g_h)
        m = torch.sigmoid(f_xm + f_m + 1) * m + torch.sigmoid(i_xm + i_m) * torch.tanh(g_xm + g_m)
        both = torch.cat([c, m], dim=1)
        return torch.sigmoid(o_x + o_h + self.conv_o(both)) * torch.tanh(self.last(both)), c, m


NAMES = {"from_input": "conv_x", "from_hidden": "conv_h", "from_memory": "conv_m", "from_both": "conv_o"}


class PlainPredRNN(StreamingPeer):
    """A stack of cells on folded frames, trained on true frames; a 1x1 convolution paints the next one."""

    fields: ClassVar[Mapping[str, Any]] = {"sampling": {"fall": 0.0}}
    batch = 1

    def __init__(self, config: PredRNNConfig) -> None:
        super().__init__()
        self.patch, self.hidden = config.patch, config.hidden
        folded = config.channels * config.patch**2
        widths = (folded, *[config.hidden] * (config.layers - 1))
        self.cells = nn.ModuleList(Cell(width, config.hidden, config.kernel) for width in widths)
        self.head = conv(config.hidden, folded, 1)

    def mapped(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename the convolutions; the order of folded channels is the model's own."""
        found = {"head.weight": state["head.weight"]}
        for index in range(len(self.cells)):
            for ours, own in NAMES.items():
                found[f"cells.{index}.{own}.weight"] = state[f"cells.{index}.{ours}.0.weight"]
            found[f"cells.{index}.last.weight"] = state[f"cells.{index}.mix.weight"]
        return found

    def fold(self, frame: Tensor) -> Tensor:
        """Return (B, p p C, h, w) of a frame (B, C, H, W)."""
        batch, channels, height, width = frame.shape
        p = self.patch
        squares = frame.reshape(batch, channels, height // p, p, width // p, p).permute(0, 3, 5, 1, 2, 4)
        return squares.reshape(batch, -1, height // p, width // p)

    def unfold(self, maps: Tensor) -> Tensor:
        """Return the frame (B, C, H, W) of folded maps (B, p p C, h, w)."""
        batch, _, height, width = maps.shape
        p = self.patch
        squares = maps.reshape(batch, p, p, -1, height, width).permute(0, 3, 4, 1, 5, 2)
        return squares.reshape(batch, -1, height * p, width * p)

    def blank(self, maps: Tensor) -> Any:
        """Return a state of zeros."""
        zero = maps.new_zeros(len(maps), self.hidden, *maps.shape[2:])
        return [(zero, zero) for _ in self.cells], zero

    def step(self, state: Any, frame: Tensor) -> tuple[Tensor, Any]:
        """Read one frame."""
        x, (layers, m), after = self.fold(frame), state, []
        for cell, (h, c) in zip(self.cells, layers, strict=True):
            x, c, m = cell(x, h, c, m)
            after.append((x, c))
        return self.unfold(self.head(x)), (after, m)

    def prime(self, context: Tensor) -> Any:
        """Read the context frame by frame."""
        state = self.blank(self.fold(context[:, 0]))
        for t in range(context.shape[1]):
            _, state = self.step(state, context[:, t])
        return state

    def loss(self, clip: Clip) -> Tensor:
        """Return the squared error of every next frame, each after the true ones."""
        frames, predicted = clip.frames, []
        state = self.blank(self.fold(frames[:, 0]))
        for t in range(frames.shape[1] - 1):
            frame, state = self.step(state, frames[:, t])
            predicted.append(frame)
        return F.mse_loss(torch.stack(predicted, dim=1), frames[:, 1:])
