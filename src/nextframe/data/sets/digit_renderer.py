"""Moving digits drawn where the model is: a plan of a few numbers a frame is sent there instead of the frames."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

WHICH, PLACES = "digit", "place"  # the extras of a clip that is not drawn yet
OBJECTS = "objects"  # the extra with each object's own frames, (B, T + H, D, C, H, W) uint8, context first


def add_up(frames: Tensor, more: Tensor) -> Tensor:
    """Return the sum of two uint8 tensors, clipped to 255."""
    return frames + torch.minimum(more, 255 - frames)


def render(
    digits: Tensor,
    which: Tensor,
    places: Tensor,
    size: tuple[int, int],
    margin: int,
    merge: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Draw digits on black, as `moving_digits.draw` does, to the last bit; all tensors are on one device.

    Args:
        digits: (N, h, w) uint8 images.
        which: (B, D) integers, the digits of each clip.
        places: (B, T, D, 2) integers, where their upper left corners are, as (y, x).
        size: height and width of a frame.
        margin: most pixels that a digit is drawn outside.
        merge: how a pixel of two digits looks.

    Returns:
        (B, T, H, W) uint8.
    """
    (clips, length, count), (height, width) = places.shape[:3], size
    rows, columns = height + 2 * margin, width + 2 * margin
    canvas = torch.zeros(clips * length * rows * columns, dtype=torch.uint8, device=digits.device)
    down, right = (places.long() + margin).unbind(-1)
    corners = down * columns + right  # (B, T, D)
    frames = torch.arange(clips * length, device=digits.device).reshape(clips, length, 1)
    corners = corners + frames * (rows * columns)
    down, right = (torch.arange(side, device=digits.device) for side in digits.shape[1:])
    digit = down[:, None] * columns + right  # where the pixels of a digit are, from its corner on
    for index in range(count):
        pixels = corners[..., index, None, None] + digit  # (B, T, h, w): no two are the same
        images = digits[which[:, index].long()].unsqueeze(1)
        canvas[pixels] = merge(canvas[pixels], images.expand(pixels.shape))
    whole = canvas.reshape(clips, length, rows, columns)
    return whole[..., margin : margin + height, margin : margin + width]
