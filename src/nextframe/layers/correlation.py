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
    found = []
    for y in range(reach):  # a row by a row, all of it: faster than only what is in the window, the band beside the
        products = rows @ around[:, y : y + height]  # diagonal of (B, H, W, W + 2 radius)
        band = products.flatten(2).unfold(2, reach, products.shape[3] + 1)  # (B, H, W, reach)
        found.append(band.contiguous())  # a view would keep all of the products
    return (torch.cat(found, dim=3) / maps.shape[1]).permute(0, 3, 1, 2)
