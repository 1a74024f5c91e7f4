"""A block of MogaNet: gates over several neighbourhoods at once (Li et al. 2024, arXiv 2211.03295)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextframe.layers.batch_norm import BatchNorm2d
from nextframe.layers.translators.blocks import BlockPlan, FeedForward, Residual, by_fan_out, depthwise


class Contrast(nn.Module):
    """x + sigma * (x - what x has in common), sigma one learned number a channel."""

    def __init__(self, width: int, common: nn.Module) -> None:
        super().__init__()
        self.common = common
        self.sigma = nn.Parameter(torch.full((width, 1, 1), 1e-5))

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, D, h, w)."""
        common: Tensor = self.common(maps)
        return maps + self.sigma * (maps - common)


class Neighbourhoods(nn.Module):
    """5x5 for all channels; then for three in eight of them 9x9 and for half 19x19 around that; mixed."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.widths = [width // 8, 3 * width // 8, width // 2]
        self.near = depthwise(width, 5)
        self.middle = depthwise(self.widths[1], 5, dilation=2)
        self.far = depthwise(self.widths[2], 7, dilation=3)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Return what each place of maps (B, D, h, w) sees, (B, D, h, w)."""
        near, middle, far = self.near(maps).split(self.widths, dim=1)
        mixed: Tensor = self.mix(torch.cat([near, self.middle(middle), self.far(far)], dim=1))
        return mixed


class GatedNeighbourhoods(nn.Module):
    """x + leave(SiLU(gate) * SiLU(value)), both of x in contrast to its mean over the map."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.enter, self.leave = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.contrast = Contrast(width, nn.AdaptiveAvgPool2d(1))
        self.gate, self.value = nn.Conv2d(width, width, 1), Neighbourhoods(width)

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, D, h, w)."""
        entered = F.silu(self.contrast(self.enter(maps)))
        out: Tensor = self.leave(F.silu(self.gate(entered)) * F.silu(self.value(entered)))
        return maps + out


def moganet(plan: BlockPlan) -> nn.Module:
    """Return a block of MogaNet."""
    common = nn.Sequential(nn.Conv2d(plan.hidden, 1, 1), nn.GELU())
    feed = FeedForward(plan, local=True, refine=Contrast(plan.hidden, common))
    return nn.Sequential(
        *(
            Residual(plan.width, BatchNorm2d(plan.width), by_fan_out(part), 1e-5, plan.drop_path)
            for part in (GatedNeighbourhoods(plan.width), feed)
        )
    )
