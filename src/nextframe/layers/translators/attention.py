"""Blocks that mix places by attention, or by weights for each pair of places: ViT, Swin, UniFormer, MLP-Mixer."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.layers.batch_norm import BatchNorm2d
from nextframe.layers.swin import WindowAttention
from nextframe.layers.translators.blocks import (
    BlockPlan,
    ChannelNorm,
    FeedForward,
    Residual,
    by_fan_out,
    depthwise,
    near_zero,
)

HEADS = 8


class Attention(nn.Module):
    """Every place attends to every other; positions have no part in it. Its cost grows with the places squared."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        self.qkv = nn.Linear(plan.width, 3 * plan.width)
        self.out = nn.Linear(plan.width, plan.width)
        self.dropout = nn.Dropout(plan.dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """Return what each place of maps (B, D, h, w) gathers, (B, D, h, w)."""
        tokens = maps.flatten(2).transpose(1, 2)  # (B, h w, D)
        queries, keys, values = self.qkv(tokens).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(queries, keys, values).transpose(1, 2).flatten(2)
        gathered = cast(Tensor, self.dropout(self.out(mixed)))
        return gathered.transpose(1, 2).reshape(maps.shape)


class WindowedAttention(nn.Module):
    """Places attend to those of their window; in every other block windows straddle those of the block before.

    As in OpenSTL's code, and unlike the paper's, places that only rolling has brought together attend to one another.
    """

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        shift = plan.window // 2 if plan.index % 2 else 0
        self.attention = WindowAttention(plan.width, HEADS, plan.window, shift, masked=False)
        self.dropout = nn.Dropout(plan.dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """Return what each place of maps (B, D, h, w) gathers; h and w are multiples of the window."""
        gathered: Tensor = self.dropout(self.attention(maps.permute(0, 2, 3, 1)))
        return gathered.permute(0, 3, 1, 2)


class PlaceMixer(nn.Module):
    """Two layers over the places of each channel; they have weights for each place of one grid."""

    def __init__(self, plan: BlockPlan) -> None:
        super().__init__()
        places, hidden = plan.grid[0] * plan.grid[1], plan.width // 2
        self.expand, self.reduce = nn.Linear(places, hidden), nn.Linear(hidden, places)
        self.activation, self.dropout = nn.GELU(), nn.Dropout(plan.dropout)

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, D, h, w) of the planned grid."""
        hidden = self.dropout(self.activation(self.expand(maps.flatten(2))))
        return cast(Tensor, self.dropout(self.reduce(hidden))).reshape(maps.shape)


def vit(plan: BlockPlan) -> nn.Module:
    """Return a block of ViT (Dosovitskiy et al. 2021, arXiv 2010.11929)."""
    return _block(plan, Attention(plan))


def swin(plan: BlockPlan) -> nn.Module:
    """Return a block of Swin Transformer (Liu et al. 2021, arXiv 2103.14030)."""
    return _block(plan, WindowedAttention(plan))


def mlp_mixer(plan: BlockPlan) -> nn.Module:
    """Return a block of MLP-Mixer (Tolstikhin et al. 2021, arXiv 2105.01601)."""
    return _block(plan, PlaceMixer(plan), eps=1e-6)


def uniformer(plan: BlockPlan) -> nn.Module:
    """Return a block of UniFormer (Li et al. 2022, arXiv 2201.09450).

    It has attention, unless it is the first one or the channels change after it: then convolutions look around.
    """
    positions = Residual(plan.width, nn.Identity(), depthwise(plan.width, 3))
    if plan.index and not plan.resized:
        return nn.Sequential(positions, *_block(plan, Attention(plan), scale=1e-6))
    look = nn.Sequential(
        nn.Conv2d(plan.width, plan.width, 1), depthwise(plan.width, 5), nn.Conv2d(plan.width, plan.width, 1)
    )
    parts = (Residual(plan.width, BatchNorm2d(plan.width), p, None, plan.drop_path) for p in (look, FeedForward(plan)))
    return by_fan_out(nn.Sequential(positions, *parts))


def _block(plan: BlockPlan, mixer: nn.Module, eps: float = 1e-5, scale: float | None = None) -> nn.Sequential:
    """Return a mixer of places and a feed-forward layer, each a residual branch with a layer norm."""
    parts = near_zero(mixer), near_zero(FeedForward(plan))
    return nn.Sequential(
        *(Residual(plan.width, ChannelNorm(plan.width, eps=eps), part, scale, plan.drop_path) for part in parts)
    )
