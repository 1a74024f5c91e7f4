"""Moving frames along a flow, differentiably; flows are (B, 2, H, W) in pixels, x first."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Sampling = Literal["bilinear", "bicubic"]


def pixel_grid(like: Tensor, top: int = 0) -> Tensor:
    """Return (1, 2, H, W): the x and y of every pixel of `like` (..., H, W), which are the rows from `top` on."""
    height, width = like.shape[-2:]
    rows = torch.arange(top, top + height, device=like.device, dtype=like.dtype)
    columns = torch.arange(width, device=like.device, dtype=like.dtype)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([x, y]).unsqueeze(0)


def backward_warp(frames: Tensor, flow: Tensor, mode: Sampling = "bilinear", grid: Tensor | None = None) -> Tensor:
    """Return frames (B, C, H, W) whose pixel p is `frames` at p + flow(p), by `sample_at`; edges are repeated outwards.

    With the flow from `a` to `b`, `backward_warp(b, flow)` looks like `a`. Differentiable in both arguments. `grid` is
    `pixel_grid(flow)`, of a caller who asks again and again.
    """
    return sample_at(frames, (pixel_grid(flow) if grid is None else grid) + flow, mode)


def sample_at(frames: Tensor, places: Tensor, mode: Sampling = "bilinear") -> Tensor:
    """Return frames (B, C, H, W) at `places` (B, 2, h, w), x and y in pixels; edges are repeated outwards.

    Bicubic is sharper between pixels, takes about twice the time, and goes beyond the values of the frames at edges.
    """
    height, width = frames.shape[-2:]
    scale = places.new_tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)]).view(1, 2, 1, 1)
    grid = (places * scale - 1).permute(0, 2, 3, 1)  # (B, h, w, 2) in [-1, 1]: the centres of the corner pixels
    return F.grid_sample(frames, grid, mode=mode, padding_mode="border", align_corners=True)


def landed(back: Tensor, look_ups: int = 2, grid: Tensor | None = None) -> Tensor:
    """Return where what comes next to each pixel is now, relative to it, if every pixel moves by -`back` once more.

    `back` (B, 2, H, W) is the flow from the last frame to the one before, defined where the pixels are now. The place
    that a pixel comes from must have the velocity that brings it here, which two look-ups find closely enough: without
    them the front of an object lags. `grid` is as for `backward_warp`.
    """
    origin, grid = back, pixel_grid(back) if grid is None else grid
    for _ in range(look_ups):
        origin = backward_warp(back, origin, grid=grid)
    return origin


def compose(first: Tensor, then: Tensor) -> Tensor:
    """Return the flow from a to c, given the flows a to b (`first`) and b to c (`then`)."""
    return first + backward_warp(then, first)
