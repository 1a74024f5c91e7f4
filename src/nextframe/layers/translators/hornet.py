"""A block of HorNet: recursive gated convolutions (Rao et al. 2022, arXiv 2207.14284)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from nextframe.layers.translators.blocks import (
    BlockPlan,
    ChannelNorm,
    FeedForward,
    Residual,
    by_fan_out,
    depthwise,
    near_zero,
)

ORDER = 4


class RecursiveGate(nn.Module):
    """Values are gated by what a 7x7 kernel sees, again and again, with twice the channels each time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widths = [width // 2**step for step in reversed(range(ORDER))]
        self.enter = nn.Conv2d(width, 2 * width, 1)
        self.seen = depthwise(sum(self.widths), 7)
        self.widen = nn.ModuleList(nn.Conv2d(wide // 2, wide, 1) for wide in self.widths[1:])
        self.leave = nn.Conv2d(width, width, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, D, h, w)."""
        values, gates = self.enter(maps).split([self.widths[0], sum(self.widths)], dim=1)
        first, *others = self.seen(gates).split(self.widths, dim=1)
        values = values * first
        for widen, gate in zip(self.widen, others, strict=True):
            values = widen(values) * gate
        out: Tensor = self.leave(values)
        return out


def hornet(plan: BlockPlan) -> nn.Module:
    """Return a block of HorNet, of order 4; as in OpenSTL it has no dropout."""
    parts = by_fan_out(RecursiveGate(plan.width)), near_zero(FeedForward(replace(plan, dropout=0.0)))
    return nn.Sequential(
        *(Residual(plan.width, ChannelNorm(plan.width, eps=1e-6), part, 1e-6, plan.drop_path) for part in parts)
    )
