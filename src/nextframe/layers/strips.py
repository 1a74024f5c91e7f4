"""A strided convolution of large maps in strips, so that less is held at a time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ROWS = 64  # of a strip
LARGE = 1 << 19  # pixels from which it is worth it: 1280x720 is larger


def halved(conv: nn.Conv2d, parts: Sequence[Tensor]) -> Tensor:
    """Return `conv`, of 3 x 3 with stride 2 and a border of 1, of maps (B, C, H, W) one after another, C summed.

    Without gradients it goes strip by strip, so that neither all maps in one tensor nor a copy of it are held. With
    them all is done at once: they would be kept anyway.
    """
    height, width = parts[0].shape[-2:]
    if torch.is_grad_enabled() or height * width < LARGE:
        return conv(torch.cat([*parts], 1))
    out = parts[0].new_empty(parts[0].shape[0], conv.out_channels, (height + 1) // 2, (width + 1) // 2)
    for top in range(0, height, ROWS):
        above = 1 if top else 0  # an output row reads the row above its own two
        strip = torch.cat([part[..., top - above : top + ROWS, :] for part in parts], 1)
        found = F.conv2d(F.pad(strip, (1, 1, 1 - above, 1)), conv.weight, conv.bias, 2)
        out[..., top // 2 : (top + ROWS) // 2, :] = found
    return out
