"""The translator of SimVP v1: a U-Net over channels of blocks that look through several kernels at once.

Gao et al. 2022, arXiv 2206.05099, in the form of OpenSTL.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GROUPS = 8
KERNELS = (3, 5, 7, 11)


class Inception(nn.Module):
    """Fewer channels, then the sum of what grouped convolutions with each kernel make of them."""

    def __init__(self, before: int, between: int, after: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(before, between, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(between, after, kernel, padding=kernel // 2, groups=GROUPS),
                nn.GroupNorm(GROUPS, after),
                nn.LeakyReLU(0.2),
            )
            for kernel in KERNELS
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, `after`, h, w) of maps (B, `before`, h, w)."""
        reduced = self.reduce(maps)
        return torch.stack([branch(reduced) for branch in self.branches]).sum(0)


class IncepU(nn.Module):
    """`blocks` inception blocks down and as many up, each of which also reads the maps of its partner.

    `maps` are the channels in and out, `width` those between; multiples of 8 and of 16.
    """

    def __init__(self, maps: int, width: int, blocks: int) -> None:
        super().__init__()
        between, inner = width // 2, blocks - 1
        self.down = nn.ModuleList(Inception(n, between, width) for n in [maps, *[width] * inner])
        widths = zip([width, *[2 * width] * inner], [*[width] * inner, maps], strict=True)
        self.up = nn.ModuleList(Inception(before, between, after) for before, after in widths)

    def forward(self, maps: Tensor) -> Tensor:
        """Change maps (B, D, h, w)."""
        passed = [maps]
        for block in self.down:
            passed.append(block(passed[-1]))
        maps = self.up[0](passed.pop())
        for block in self.up[1:]:
            maps = block(torch.cat([maps, passed.pop()], dim=1))
        return maps
