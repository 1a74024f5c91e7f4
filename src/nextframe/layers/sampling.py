"""Frames sampled along flows at a smaller size, and maps made larger: what a coarse-to-fine network looks at."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.flow.warp import pixel_grid, sample_at

SHARE, LEAST = (7, 10), 96  # 0.7 in whole numbers, which has half of the pixels; pixels along a side that are kept


def enlarged(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Return maps (B, C, h, w) at `size`, bilinear."""
    return F.interpolate(maps, size=size, mode="bilinear")


def shrunk(frames: Tensor, scale: int) -> Tensor:
    """Return frames (..., C, H, W) at 1/scale, bilinear: the mean of the middle four pixels of each cell."""
    if scale == 1:
        return frames
    return _unflat(F.avg_pool2d(middles(frames, scale).flatten(0, -4), 2), frames)


def fewer(frames: Tensor, multiple: int, whole: bool = False) -> Tensor:
    """Return frames (B, K, C, H, W) at `SHARE` of height and width, rounded to `multiple`; or as they are, if `whole`.

    Neither gets below `LEAST` pixels; one that is there already stays as it is.
    """
    if whole:
        return frames
    height, width = (_fewer(side, multiple) for side in frames.shape[-2:])
    return _unflat(enlarged(frames.flatten(0, 1), (height, width)), frames)


def _fewer(side: int, multiple: int) -> int:
    """Return the side of fewer pixels, without a branch: an exported model meets sides of its own."""
    part, all_of_it = SHARE[0] * side, SHARE[1] * multiple
    rounded = multiple * ((2 * part + all_of_it) // (2 * all_of_it))
    return torch.sym_max(rounded, torch.sym_min(side, LEAST))  # type: ignore[no-any-return, no-untyped-call]


def middles(maps: Tensor, scale: int) -> Tensor:
    """Return the middle four pixels of each cell of `scale` x `scale`: (..., 2 H / scale, 2 W / scale)."""
    if scale <= 2:
        return maps
    height, width = maps.shape[-2:]
    cells = maps.reshape(*maps.shape[:-2], height // scale, scale, width // scale, scale)
    two = slice(scale // 2 - 1, scale // 2 + 1)
    return cells[..., two, :, two].flatten(-4, -3).flatten(-2)


def sampled(flow: Tensor, frames: Tensor, scale: int = 1, rows: tuple[int, int] | None = None) -> Tensor:
    """Return `frames` (B, K, C, H, W), each sampled along its own flow of (B, 2K, H, W), and `shrunk` by `scale`.

    All of it, or `rows` from one number up to another.
    """
    top, end = (0, flow.shape[2]) if rows is None else (rows[0] * scale, rows[1] * scale)
    flows = flow[:, :, top:end].reshape(-1, 2, end - top, flow.shape[3])
    places = middles(pixel_grid(flows, top) + flows, scale)
    found = sample_at(precise(frames.flatten(0, 1)), places)
    return _unflat(found if scale == 1 else F.avg_pool2d(found, 2), frames)


def precise(maps: Tensor) -> Tensor:
    """Return maps in float32 or better: places to the pixel do not fit into bfloat16, which autocast works in."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def _unflat(maps: Tensor, frames: Tensor) -> Tensor:
    return maps.reshape(*frames.shape[:-3], *maps.shape[1:])
