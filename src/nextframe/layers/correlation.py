"""How alike two feature maps are at every displacement in a window: where motion shows before it is known."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def correlation(maps: Tensor, others: Tensor, radius: int) -> Tensor:
    """Return the mean product of `maps` at x and `others` at x + d, for every d in a window (PWC-Net, Sun et al. 2018).

    Args:
        maps: (B, D, H, W).
        others: the same shape; beyond its border everything is zero.
        radius: the window reaches this far in each direction.

    Returns:
        (B, (2 * radius + 1)^2, H, W): displacements row by row, from up and left to down and right.
    """
    height, width = maps.shape[-2:]
    around = F.pad(others, (radius, radius, radius, radius))
    reach = range(2 * radius + 1)
    return torch.stack(
        [(maps * around[:, :, y : y + height, x : x + width]).mean(1) for y in reach for x in reach], dim=1
    )
