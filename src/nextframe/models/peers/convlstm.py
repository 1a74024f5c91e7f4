"""A plain ConvLSTM: one convolution of the frame beside the hidden map in each step, gates as separate operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.models.peers.peer import StreamingPeer

if TYPE_CHECKING:
    from nextframe.models.convlstm import ConvLSTMConfig

CellState = tuple[Tensor, Tensor]


class Cell(nn.Module):
    """One layer's step."""

    def __init__(self, inputs: int, hidden: int, kernel: int, activation: str) -> None:
        super().__init__()
        self.hidden, self.activate = hidden, F.relu if activation == "relu" else torch.tanh
        self.conv = nn.Conv2d(inputs + hidden, 4 * hidden, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, state: CellState) -> CellState:
        """Read x (B, inputs, H, W); return the new hidden and cell maps."""
        h, c = state
        i, f, g, o = self.conv(torch.cat([x, h], dim=1)).chunk(4, dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * self.activate(g)
        return torch.sigmoid(o) * self.activate(c), c


class PlainConvLSTM(StreamingPeer):
    """Cells one above the other, batch norm over all frames between them, and a Conv3d that looks back as head."""

    batch = 2

    def __init__(self, config: ConvLSTMConfig) -> None:
        super().__init__()
        widths = (config.channels, *config.hidden)
        self.cells = nn.ModuleList(
            Cell(before, after, kernel, config.activation)
            for before, after, kernel in zip(widths, widths[1:], config.kernels, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm3d(n, eps=1e-3, momentum=0.01) for n in config.hidden[:-1])
        self.head = nn.Conv3d(config.hidden[-1], config.channels, 3, padding=(0, 1, 1))

    def mapped(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Put the kernels over frames and those over hidden maps side by side."""
        found = {name: value for name, value in state.items() if not name.startswith("layers.")}
        for index in range(len(self.cells)):
            into, across = (state[f"layers.{index}.{name}_weight"] for name in ("input", "recurrent"))
            found[f"cells.{index}.conv.weight"] = torch.cat([into, across], dim=1)
            found[f"cells.{index}.conv.bias"] = state[f"layers.{index}.bias"]
        return found

    def blank(self, frame: Tensor) -> list[CellState]:
        """Return states of zeros for frames like `frame` (B, C, H, W)."""
        cells = [cast(Cell, cell) for cell in self.cells]
        return [(frame.new_zeros(len(frame), cell.hidden, *frame.shape[2:]),) * 2 for cell in cells]

    def encode(self, frames: Tensor, states: list[CellState]) -> tuple[Tensor, list[CellState]]:
        """Return the top's maps (B, hidden, T, H, W) of frames (B, T, C, H, W), and the states after them."""
        maps, after = frames, []
        for index, (cell, state) in enumerate(zip(self.cells, states, strict=True)):
            outputs = []
            for t in range(maps.shape[1]):
                state = cell(maps[:, t], state)
                outputs.append(state[0])
            after.append(state)
            maps = torch.stack(outputs, dim=1)
            if index < len(self.norms):
                maps = self.norms[index](maps.transpose(1, 2)).transpose(1, 2)
        return maps.transpose(1, 2), after

    def loss(self, clip: Clip) -> Tensor:
        """Return the cross-entropy of every next frame."""
        frames = clip.frames
        maps, _ = self.encode(frames[:, :-1], self.blank(frames[:, 0]))
        logits = self.head(F.pad(maps, (0, 0, 0, 0, 2, 0))).transpose(1, 2)
        return F.binary_cross_entropy_with_logits(logits, frames[:, 1:])

    def prime(self, context: Tensor) -> Any:
        """Read the context; the head needs the two latest maps."""
        maps, states = self.encode(context, self.blank(context[:, 0]))
        return states, F.pad(maps, (0, 0, 0, 0, 2, 0))[:, :, -2:]

    def step(self, state: Any, frame: Tensor) -> tuple[Tensor, Any]:
        """Read one frame."""
        states, recent = state
        maps, states = self.encode(frame.unsqueeze(1), states)
        seen = torch.cat([recent, maps], dim=2)
        return self.head(seen)[:, :, 0].sigmoid(), (states, seen[:, :, 1:])
