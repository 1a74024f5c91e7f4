"""Perceptual distance of two colours: one formula for the metric and for the loss."""

from __future__ import annotations

from torch import Tensor

from nextframe.core.errors import UserError

LEVELS = 255  # the formula's weights are made for colours from 0 to 255
COLORED = (1, 3, 4)  # channels of frames that have colours: grey, RGB, RGB and more


def redmean_squared(first: Tensor, second: Tensor) -> Tensor:
    """Return the squared "redmean" distance of every pixel, on the 0-255 scale.

    compuphase.com/cmetric: (512 + r) dR^2 / 256 + 4 dG^2 + (767 - r) dB^2 / 256 with r the mean of both reds.
    Grey frames are taken as RGB with three equal channels; of four channels the first three count.

    Args:
        first: (B, T, C, H, W) in [0, 1].
        second: the same shape.

    Returns:
        (B, T, H, W).

    Raises:
        UserError: frames of another number of channels.
    """
    channels = first.shape[2]
    if channels not in COLORED:
        raise UserError(f"perceptual distance needs grey or RGB frames, not {channels} channels")
    a, b = ((frames * LEVELS).unbind(2)[:3] for frames in (first, second))  # (B, T, H, W) each
    if channels == 1:
        a, b = a * 3, b * 3  # tuples of one plane, three times
    red, green, blue = ((x - y).square() for x, y in zip(a, b, strict=True))
    mean_red = (a[0] + b[0]) / 2
    return (512 + mean_red) * red / 256 + 4 * green + (767 - mean_red) * blue / 256
