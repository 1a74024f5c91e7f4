"""A frame at several sizes: halved again and again, and enlarged back, by the rules of four implementations."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.seeds.noise import widest

Resize = Literal["average", "bilinear-corners", "bilinear-legacy", "bilinear-centres"]
Size = tuple[int, int]


def scale_sizes(height: int, width: int, scales: int) -> list[Size]:
    """Return the (height, width) of each scale, coarse to fine: halves, rounded down, at least one pixel."""
    return [(max(1, height >> k), max(1, width >> k)) for k in reversed(range(scales))]


def shrink(frames: Tensor, size: Size, how: Resize = "average") -> Tensor:
    """Return (B, C, H, W) frames at a smaller size.

    "average" takes the mean of the pixels that fall into each new one, the authors' pooling if sizes divide;
    "bilinear-corners" reads the frame at points, the corners on the corners (Chainer's resize_images);
    "bilinear-legacy" reads it at multiples of the ratio (the old tf.image.resize_images): for a half, every second;
    "bilinear-centres" reads it at the new pixels' centres (skimage.transform.resize without smoothing): for a half
    the means of four, for a quarter those of the middle four of sixteen.
    """
    if tuple(frames.shape[-2:]) == size:
        return frames
    if how != "average":
        return _bilinear(frames, size, how)
    rows, columns = frames.shape[-2] // size[0], frames.shape[-1] // size[1]
    if (rows * size[0], columns * size[1]) == tuple(frames.shape[-2:]):
        return F.avg_pool2d(frames, (rows, columns))
    return F.adaptive_avg_pool2d(frames, size)


def grow(frames: Tensor, size: Size, how: Resize = "average") -> Tensor:
    """Return (B, C, H, W) frames at a larger size: pixels are repeated for "average", else it is bilinear."""
    if tuple(frames.shape[-2:]) == size:
        return frames
    return F.interpolate(frames, size=size, mode="nearest") if how == "average" else _bilinear(frames, size, how)


def _bilinear(frames: Tensor, size: Size, how: Resize) -> Tensor:
    if how == "bilinear-corners":
        return F.interpolate(frames, size=size, mode="bilinear", align_corners=True)
    if how == "bilinear-centres":
        return F.interpolate(frames, size=size, mode="bilinear", align_corners=False)
    return _legacy(_legacy(frames, size[0], -2), size[1], -1)


def _legacy(frames: Tensor, size: int, axis: int) -> Tensor:
    """Read `frames` along one axis at 0, r, 2r, ... with r the ratio of the sizes; the last line is repeated."""
    length = frames.shape[axis]
    place = torch.arange(size, device=frames.device, dtype=widest(frames.device)) * (length / size)
    first = place.floor().long()
    part = (place - first).to(frames.dtype)
    part = part[:, None] if axis == -2 else part
    after = (first + 1).clamp_max(length - 1)
    return torch.lerp(frames.index_select(axis, first), frames.index_select(axis, after), part)
