"""Blocks of convolutions and pooling: ConvMixer, ConvNeXt, PoolFormer."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from nextframe.layers.batch_norm import BatchNorm2d
from nextframe.layers.translators.blocks import (
    BlockPlan,
    ChannelNorm,
    FeedForward,
    Residual,
    by_fan_out,
    depthwise,
    near_zero,
)


def convmixer(plan: BlockPlan) -> nn.Module:
    """Return a block of ConvMixer (Trockman & Kolter 2022, arXiv 2201.09792): it has no feed-forward layer."""
    places = nn.Sequential(depthwise(plan.width, 11), nn.GELU(), BatchNorm2d(plan.width))
    channels = (nn.Conv2d(plan.width, plan.width, 1), nn.GELU(), BatchNorm2d(plan.width))
    return by_fan_out(nn.Sequential(Residual(plan.width, nn.Identity(), places), *channels))


def convnext(plan: BlockPlan) -> nn.Module:
    """Return a block of ConvNeXt (Liu et al. 2022, arXiv 2201.03545); as in OpenSTL it has no dropout."""
    norm, feed = ChannelNorm(plan.width, eps=1e-6), FeedForward(replace(plan, dropout=0.0))
    branch = by_fan_out(nn.Sequential(depthwise(plan.width, 7), norm, feed))
    return Residual(plan.width, nn.Identity(), branch, 1e-6, plan.drop_path)


def poolformer(plan: BlockPlan) -> nn.Module:
    """Return a block of PoolFormer (Yu et al. 2022, arXiv 2111.11418): each place takes the mean around it."""
    parts = Smoothing(), near_zero(FeedForward(plan))
    return nn.Sequential(
        *(Residual(plan.width, nn.GroupNorm(1, plan.width), part, 1e-5, plan.drop_path) for part in parts)
    )


class Smoothing(nn.AvgPool2d):
    """The change to the mean of the 3x3 places around each, those inside the map."""

    def __init__(self) -> None:
        super().__init__(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the change of maps (B, D, h, w)."""
        return super().forward(maps) - maps
