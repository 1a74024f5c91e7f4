"""A strided convolution of large maps in strips, so that less is held at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextframe.layers.residual import joined

ROWS = 64  # of a strip, an even number
LARGE = 1 << 18  # pixels from which it is worth it: 640x360 is smaller

Rows = Callable[[int, int], Sequence[Tensor]]


def halved(conv: nn.Module, rows: Rows, size: tuple[int, int]) -> Tensor:
    """Return `conv`, of 3 x 3 with stride 2 and a border of 1, of maps (B, C, H, W) one after another, C summed.

    Without gradients it goes strip by strip, so that neither all maps nor a copy of them are held. With them all is
    done at once: they would be kept anyway. So it is in an export, which is no longer for more strips.

    Args:
        conv: the convolution.
        rows: returns the maps' rows from one number up to another.
        size: height and width of the maps.
    """
    assert isinstance(conv, nn.Conv2d)
    height, width = size
    if torch.is_grad_enabled() or torch.compiler.is_exporting() or height * width < LARGE:
        found: Tensor = conv(joined(rows(0, height)))
        return found
    out = None
    for top in range(0, height, ROWS):
        strip = halved_strip(conv, rows(max(top - 1, 0), min(top + ROWS, height)), top)
        if out is None:
            whole = (*strip.shape[:2], (height + 1) // 2, strip.shape[3])
            out = torch.empty(whole, dtype=strip.dtype, device=strip.device, memory_format=torch.channels_last)
        out[..., top // 2 : (top + ROWS) // 2, :] = strip
    assert out is not None
    return out


def halved_strip(conv: nn.Conv2d, parts: Sequence[Tensor], top: int) -> Tensor:
    """Return what `halved` is of the maps' rows from `top` on, in front of which is the one above, if there is one."""
    batch, _, rows, width = parts[0].shape
    above = 0 if top else 1  # of zeros: an output row reads the row above its own two
    dtype = reduce(torch.promote_types, [part.dtype for part in parts])
    bordered = parts[0].new_zeros(batch, rows + above + 1, width + 2, conv.in_channels, dtype=dtype)
    bordered = bordered.permute(0, 3, 1, 2)  # channels last in memory, in which it is fastest
    channel = 0
    for part in parts:
        bordered[:, channel : channel + part.shape[1], above:-1, 1:-1] = part
        channel += part.shape[1]
    return F.conv2d(bordered, conv.weight, conv.bias, 2)
