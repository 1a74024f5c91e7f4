"""The pixel grid: padding to a multiple, and the coordinates of each position."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of (..., C, H, W) until H and W are multiples of `multiple`.

    Any number of leading axes, at least one; the result has the same. Frames that fit already are returned as they are.
    """
    rows, columns = -frames.shape[-2] % multiple, -frames.shape[-1] % multiple
    if not torch.compiler.is_exporting() and not rows and not columns:  # an exported model may meet other sizes
        return frames  # also because torch.compile makes clamped indices of a padding of nothing
    flat = F.pad(frames.flatten(0, -4), (0, columns, 0, rows), mode="replicate")
    return flat.reshape(*frames.shape[:-2], *flat.shape[-2:])


def places(frames: Tensor) -> Tensor:
    """Return (N, 2, H, W), each position's row and column from -1 to 1, for (N, C, H, W), so a model sees borders."""
    rows = torch.linspace(-1, 1, frames.shape[2], device=frames.device, dtype=frames.dtype)
    columns = torch.linspace(-1, 1, frames.shape[3], device=frames.device, dtype=frames.dtype)
    batch = frames.shape[0]  # not len(), which is a plain number: an exported model would take that one batch size only
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(batch, -1, -1, -1)


def centred(frames: Tensor, multiple: int) -> Tensor:
    """Return frames (..., H, W) in [0, 1] around 0, padded by `pad_to_multiple`."""
    return pad_to_multiple(frames - 0.5, multiple)
