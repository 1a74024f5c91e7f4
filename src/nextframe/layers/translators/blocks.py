"""What the translators' blocks are built of: a residual branch, a feed-forward layer, norms, and how weights start."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from nextframe.layers.drop_path import DropPath

Layer = TypeVar("Layer", bound=nn.Module)


@dataclass(frozen=True)
class BlockPlan:
    """What a block is made for."""

    index: int  # of the block, from 0
    width: int  # channels in and out
    resized: bool  # whether the channels change after it, as they do after the first and the last
    ratio: float  # hidden channels of the feed-forward layer for each channel
    dropout: float
    drop_path: float  # chance that a branch is skipped for a clip in training
    grid: tuple[int, int]  # rows and columns of the maps that the model was made for
    window: int  # side of the squares of places that attend to one another

    @property
    def hidden(self) -> int:
        """Hidden channels of the feed-forward layer."""
        return int(self.width * self.ratio)


class Residual(nn.Module):
    """x + scale * branch(norm(x)), with one learned scale a channel that begins at `scale`; None: without scales.

    The scales are those of Touvron et al. 2021 (CaiT), arXiv 2103.17239.
    """

    def __init__(
        self, width: int, norm: nn.Module, branch: nn.Module, scale: float | None = None, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        self.norm, self.branch, self.drop_path = norm, branch, DropPath(drop_path)
        self.scale = nn.Parameter(torch.full((width, 1, 1), scale)) if scale else None

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, D, h, w)."""
        change = self.branch(self.norm(maps))
        return maps + cast(Tensor, self.drop_path(change if self.scale is None else self.scale * change))


class FeedForward(nn.Module):
    """Two layers at each place: wider, GELU, and back.

    `local` also looks at the 3x3 places around, in each hidden channel (PVT v2, Wang et al. 2022, arXiv 2106.13797);
    `refine` changes the hidden maps after the GELU.
    """

    def __init__(self, plan: BlockPlan, local: bool = False, refine: nn.Module | None = None) -> None:
        super().__init__()
        self.expand = nn.Conv2d(plan.width, plan.hidden, 1)
        self.local = depthwise(plan.hidden, 3) if local else nn.Identity()
        self.activation, self.dropout = nn.GELU(), nn.Dropout(plan.dropout)
        self.refine = refine or nn.Identity()
        self.reduce = nn.Conv2d(plan.hidden, plan.width, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, D, h, w)."""
        hidden = self.dropout(self.activation(self.local(self.expand(maps))))
        return cast(Tensor, self.dropout(self.reduce(self.refine(hidden))))


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of each place of maps (B, D, h, w)."""

    def forward(self, maps: Tensor) -> Tensor:
        """Norm maps (B, D, h, w)."""
        return super().forward(maps.movedim(1, -1)).movedim(-1, 1)


def depthwise(width: int, kernel: int, dilation: int = 1) -> nn.Conv2d:
    """Return a convolution within each channel that keeps the size."""
    return nn.Conv2d(width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=width)


def by_fan_out(layer: Layer) -> Layer:
    """Start the convolutions inside `layer` by He et al. 2015: normal, variance 2 / fan-out, without bias."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=sqrt(2 / fan_out))
            _unbiased(module)
    return layer


def near_zero(layer: Layer) -> Layer:
    """Start the linear layers and convolutions inside `layer` as ViT does: normal, deviation 0.02, without bias."""
    for module in layer.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            _unbiased(module)
    return layer


def _unbiased(module: nn.Conv2d | nn.Linear) -> None:
    if module.bias is not None:
        nn.init.zeros_(module.bias)
