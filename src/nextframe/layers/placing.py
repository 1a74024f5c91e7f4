"""Small images placed in a frame by a scale and a shift, and cut out of it again: a spatial transformer without turns.

Jaderberg et al. 2015, arXiv 1506.02025, with the samples of `grid_sample` (bilinear, black outside, `align_corners`
false). A scale and a shift treat rows and columns apart, so both ways are two products of matrices, which take less
than half the time of a grid of samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nextframe.layers.sampling import precise


def place(images: Tensor, poses: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a black frame with each image in it.

    Args:
        images: (N, C, h, w).
        poses: (N, 3), scale, x and y: the image fills 1 / scale of the frame's height and width, and its middle is at
            (-x / scale, -y / scale), where the frame reaches from -1 to 1, left to right and top to bottom.
        size: height and width of the frame.

    Returns:
        (N, C, *size).
    """
    return _sampled(images, poses[:, 0], poses[:, 1:], size)


def cut_out(frames: Tensor, poses: Tensor, size: tuple[int, int]) -> Tensor:
    """Return what `place` would have placed: the part of each of `frames` (N, C, H, W) at `poses` (N, 3).

    Returns:
        (N, C, *size).
    """
    return _sampled(frames, 1 / poses[:, 0], -poses[:, 1:] / poses[:, :1], size)


def _sampled(images: Tensor, scale: Tensor, shift: Tensor, size: tuple[int, int]) -> Tensor:
    """Return samples at scale * (place in the result) + shift, both from -1 to 1; `shift` (N, 2) is (x, y)."""
    rows = _weights(scale, shift[:, 1], size[0], images.shape[2])
    columns = _weights(scale, shift[:, 0], size[1], images.shape[3])
    with torch.autocast(images.device.type, enabled=False):  # bfloat16 would move and dim what is placed
        return rows.unsqueeze(1) @ images.to(rows.dtype) @ columns.unsqueeze(1).transpose(2, 3)


def _weights(scale: Tensor, shift: Tensor, made: int, given: int) -> Tensor:
    """Return how much each of `given` pixels of a line counts in each of the `made` ones: (N, made, given)."""
    scale, shift = precise(scale), precise(shift)
    kind = scale.dtype
    place = (2 * torch.arange(made, device=scale.device, dtype=kind) + 1) / made - 1
    found = ((scale.unsqueeze(1) * place + shift.unsqueeze(1) + 1) * given - 1) / 2  # in pixels of what is given
    return (1 - (found.unsqueeze(2) - torch.arange(given, device=scale.device, dtype=kind)).abs()).relu()
