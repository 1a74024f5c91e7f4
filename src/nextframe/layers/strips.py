"""A strided convolution of large maps in strips, so that less is held at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextframe.layers.residual import joined

ROWS = 64  # of a strip
LARGE = 1 << 19  # pixels from which it is worth it: 1280x720 is larger


def halved(conv: nn.Module, parts: Sequence[Tensor]) -> Tensor:
    """Return `conv`, of 3 x 3 with stride 2 and a border of 1, of maps (B, C, H, W) one after another, C summed.

    Without gradients it goes strip by strip, so that neither all maps in one tensor nor a copy of it are held. With
    them all is done at once: they would be kept anyway.
    """
    assert isinstance(conv, nn.Conv2d)
    height, width = parts[0].shape[-2:]
    if torch.is_grad_enabled() or height * width < LARGE:
        found: Tensor = conv(joined(parts))
        return found
    size = (parts[0].shape[0], conv.out_channels, (height + 1) // 2, (width + 1) // 2)
    out = torch.empty(size, dtype=parts[0].dtype, device=parts[0].device, memory_format=torch.channels_last)
    for top in range(0, height, ROWS):
        above = 1 if top else 0  # an output row reads the row above its own two
        strip = joined([part[..., top - above : top + ROWS, :] for part in parts])
        out[..., top // 2 : (top + ROWS) // 2, :] = F.conv2d(
            F.pad(strip, (1, 1, 1 - above, 1)), conv.weight, conv.bias, 2
        )
    return out
