"""A plain form of `compact`: depthwise convolutions as torch has them, on maps as they lie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.models.peers.peer import Peer

if TYPE_CHECKING:
    from nextframe.models.compact import CompactConfig


class Block(nn.Module):
    """A depthwise square, or two lines; then two layers over channels, added to the input."""

    def __init__(self, width: int, kernel: int, reach: int, lines: bool) -> None:
        super().__init__()
        shapes = [(reach, 1), (1, reach)] if lines else [(kernel, kernel)]
        self.places = nn.Sequential(
            *(nn.Conv2d(width, width, shape, padding=(shape[0] // 2, shape[1] // 2), groups=width) for shape in shapes)
        )
        self.norm = nn.LayerNorm(width)
        self.expand, self.reduce = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix x (B, D, h, w)."""
        hidden = self.norm(self.places(x).permute(0, 2, 3, 1))
        mixed: Tensor = self.reduce(F.gelu(self.expand(hidden)))
        return x + mixed.permute(0, 3, 1, 2)


class PlainCompact(Peer):
    """Frames folded into channels, blocks, all future frames unfolded."""

    batch = 16

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        fold = config.channels * config.patch**2
        self.stem = nn.Conv2d(config.context * fold + 2, config.width, 3, padding=1)
        self.blocks = nn.Sequential(
            *(Block(config.width, config.kernel, config.reach, bool(n % 2)) for n in range(config.blocks))
        )
        self.norm, self.head = nn.LayerNorm(config.width), nn.Linear(config.width, config.horizon * fold)

    def mapped(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename the kernels, and lay the horizontal ones down: the model has them upright."""
        found = {}
        for name, value in state.items():
            upright = "horizontal.weight" in name
            name = name.replace("places.vertical", "places.0").replace("places.horizontal", "places.1")
            for kind in ("weight", "bias"):
                name = name.replace(f"places.{kind}", f"places.0.{kind}")
            found[name] = value.transpose(2, 3) if upright else value
        return found

    def next_frames(self, context: Tensor) -> Tensor:
        """Return the frames of one pass."""
        config, (height, width) = self.config, context.shape[3:]
        folded = F.pixel_unshuffle(context.flatten(1, 2), config.patch)
        sides = (torch.linspace(-1, 1, n, device=context.device) for n in folded.shape[2:])
        grid = torch.stack(torch.meshgrid(*sides, indexing="ij")).expand(len(context), -1, -1, -1)
        hidden = self.blocks(self.stem(torch.cat([folded, grid], dim=1))).permute(0, 2, 3, 1)
        out = F.pixel_shuffle(self.head(self.norm(hidden)).permute(0, 3, 1, 2), config.patch)
        future = out.reshape(len(context), config.horizon, config.channels, height, width)
        return future + context[:, -1:] if config.residual else future

    def forecast(self, context: Tensor, horizon: int) -> Tensor:
        """Predict in whole passes."""
        frames = context
        while frames.shape[1] - context.shape[1] < horizon:
            frames = torch.cat([frames, self.next_frames(frames[:, -self.config.context :]).clamp(0, 1)], dim=1)
        return frames[:, context.shape[1] :][:, :horizon]

    def loss(self, clip: Clip) -> Tensor:
        """Return the squared error of the frames of one pass."""
        frames = min(clip.horizon, self.config.horizon)
        return F.mse_loss(self.next_frames(clip.context)[:, :frames], clip.target[:, :frames])
