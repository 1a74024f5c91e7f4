"""A probabilistic motion encoder: frames to a normal distribution of the coming motion at each place."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from nextframe.layers.convlstm import ConvLSTMLayer, LayerState
from nextframe.layers.halvings import Halvings
from nextframe.layers.sampling import precise

START = 2.0  # the deviation begins at exp(-START): the motion is not lost in its noise


class MotionState(NamedTuple):
    """What is known after some frames: the ConvLSTM's state and the last frame, (B, C, H, W)."""

    memory: LayerState
    last: Tensor


class Motion(NamedTuple):
    """The coming motion, mean and log deviation (B, D, h / 8, w / 8), and the last frame's maps, coarse to fine."""

    mean: Tensor
    log_sigma: Tensor
    maps: tuple[Tensor, ...]


class MotionEncoder(nn.Module):
    """Frames and their changes to a distribution of the coming motion, by convolutions and a ConvLSTM."""

    def __init__(self, channels: int, width: int, latent: int) -> None:
        super().__init__()
        self.halvings = Halvings(2 * channels, width)
        self.memory = ConvLSTMLayer(4 * width, 4 * width, 3)
        self.head = nn.Conv2d(4 * width, 2 * latent, 1)

    def forward(self, frames: Tensor, state: MotionState | None) -> tuple[Motion, LayerState]:
        """Read frames (B, T, C, H, W), T >= 1 and H, W multiples of 8; return the motion after the last of them."""
        before = torch.cat([frames[:, :1] if state is None else state.last.unsqueeze(1), frames[:, :-1]], dim=1)
        seen = torch.cat([frames - 0.5, frames - before], dim=2)
        maps = [found.unflatten(0, seen.shape[:2]) for found in self.halvings(seen.flatten(0, 1))]
        hidden, memory = self.memory(maps[0], None if state is None else state.memory)
        mean, log_sigma = precise(self.head(hidden[:, -1])).chunk(2, dim=1)
        return Motion(mean, log_sigma - START, tuple(found[:, -1] for found in maps[1:])), memory
