"""Blocks that gate maps by a large kernel: SimVP's gated spatiotemporal attention, VAN and the temporal attention unit.

A 21x21 neighbourhood is seen through a 5x5 convolution and a 7x7 one with gaps, both within channels
(Guo et al. 2022, VAN, arXiv 2202.09741).
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from nextframe.layers.batch_norm import BatchNorm2d
from nextframe.layers.translators.blocks import BlockPlan, FeedForward, Residual, by_fan_out, depthwise


class LargeKernel(nn.Module):
    """What each place sees of its 21x21 neighbourhood, then mixed over channels."""

    def __init__(self, width: int, after: int) -> None:
        super().__init__()
        self.near, self.far = depthwise(width, 5), depthwise(width, 7, dilation=3)
        self.mix = nn.Conv2d(width, after, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, `after`, h, w) of maps (B, D, h, w)."""
        return cast(Tensor, self.mix(self.far(self.near(maps))))


class SpatiotemporalGate(nn.Module):
    """SimVP v2: of what is seen, one half of the channels gates the other (Tan et al. 2022, arXiv 2211.12509)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seen = LargeKernel(width, 2 * width)

    def forward(self, maps: Tensor) -> Tensor:
        """Gate maps (B, D, h, w)."""
        seen: Tensor = self.seen(maps)
        values, gates = seen.chunk(2, dim=1)
        return torch.sigmoid(gates) * values


class LargeKernelAttention(nn.Module):
    """VAN: what is seen gates the maps themselves."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seen = LargeKernel(width, width)

    def forward(self, maps: Tensor) -> Tensor:
        """Gate maps (B, D, h, w)."""
        seen: Tensor = self.seen(maps)
        return maps * seen


class TemporalAttention(nn.Module):
    """TAU: what is seen within frames gates the maps, and so does a weight for each channel, which is a moment.

    The weights come of the means of all channels, by way of some 16 numbers whatever the width, as in their code.
    Tan et al. 2023, arXiv 2206.12126.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.seen = LargeKernel(width, width)
        between = width // max(width // 16, 4)
        self.weigh = nn.Sequential(
            nn.Linear(width, between, bias=False), nn.ReLU(), nn.Linear(between, width, bias=False), nn.Sigmoid()
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Gate maps (B, D, h, w)."""
        weights: Tensor = self.weigh(maps.mean((2, 3)))
        seen: Tensor = self.seen(maps)
        return weights[:, :, None, None] * seen * maps


class Gated(nn.Module):
    """x + project(gate(GELU(enter(x))))."""

    def __init__(self, width: int, gate: nn.Module) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.activation, self.gate = nn.GELU(), gate

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, D, h, w)."""
        return maps + cast(Tensor, self.leave(self.gate(self.activation(self.enter(maps)))))


def gsta(plan: BlockPlan) -> nn.Module:
    """Return a block of SimVP v2's translator."""
    return _block(plan, by_fan_out(Gated(plan.width, SpatiotemporalGate(plan.width))))


def van(plan: BlockPlan) -> nn.Module:
    """Return a block of VAN."""
    return _block(plan, by_fan_out(Gated(plan.width, LargeKernelAttention(plan.width))))


def tau(plan: BlockPlan) -> nn.Module:
    """Return a block of temporal attention units; as in their code, the units start as torch's layers do."""
    return _block(plan, Gated(plan.width, TemporalAttention(plan.width)))


def _block(plan: BlockPlan, gated: nn.Module) -> nn.Module:
    feed = by_fan_out(FeedForward(plan, local=True))
    return nn.Sequential(
        *(Residual(plan.width, BatchNorm2d(plan.width), part, 1e-2, plan.drop_path) for part in (gated, feed))
    )
