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
    height, reach = maps.shape[-2], 2 * radius + 1
    rows = maps.permute(0, 2, 3, 1)  # (B, H, W, D)
    around = F.pad(others, (radius, radius, radius, radius)).permute(0, 2, 1, 3)  # (B, H + 2 radius, D, W + 2 radius)
    if torch.compiler.is_exporting():  # all at once: few operators
        shifted = around.unfold(1, height, 1).permute(0, 1, 4, 2, 3)  # (B, reach, H, D, W + 2 radius)
        found = band(rows.unsqueeze(1) @ shifted, reach).permute(0, 1, 4, 2, 3).flatten(1, 2)
        return found / maps.shape[1]
    # A row by a row: what is held is that of one. All of each row is computed, faster than only what is in the window.
    each = [band(rows @ around[:, y : y + height], reach).contiguous() for y in range(reach)]
    return (torch.cat(each, dim=3) / maps.shape[1]).permute(0, 3, 1, 2)


def band(products: Tensor, reach: int) -> Tensor:
    """Return the `reach` entries from the diagonal on of (..., W, W + reach - 1): (..., W, reach), a view."""
    return products.flatten(-2).unfold(-1, reach, products.shape[-1] + 1)
