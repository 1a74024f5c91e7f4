"""The grid of pixels: sizes that a model can fold, and where each place lies."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pad_to_multiple(frames: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column of (..., C, H, W) until H and W are multiples of `multiple`.

    Any number of leading axes, from one; the result has as many.
    """
    rows, columns = -frames.shape[-2] % multiple, -frames.shape[-1] % multiple
    flat = F.pad(frames.flatten(0, -4), (0, columns, 0, rows), mode="replicate")
    return flat.reshape(*frames.shape[:-2], *flat.shape[-2:])


def places(frames: Tensor) -> Tensor:
    """Return (N, 2, H, W), each place's row and column from -1 to 1, for (N, C, H, W): where the walls are is known."""
    rows = torch.linspace(-1, 1, frames.shape[2], device=frames.device, dtype=frames.dtype)
    columns = torch.linspace(-1, 1, frames.shape[3], device=frames.device, dtype=frames.dtype)
    return torch.stack(torch.meshgrid(rows, columns, indexing="ij")).expand(len(frames), -1, -1, -1)
