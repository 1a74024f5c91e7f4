"""Frames as the page plays them: all of a clip in one image, which its script cuts up again."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from nextframe.prediction.shown.panels import to_rgb

LOSSLESS = 128  # pixels of the longest side up to which every pixel is kept: such frames are shown enlarged
QUALITY = 92  # of larger ones
# Colours of an error of 0, 1/3, 2/3 and 1 of the scale: dark, violet, orange, pale yellow.
HEAT = ((13, 14, 20), (120, 28, 110), (243, 118, 44), (252, 250, 190))
FAINTEST = 0.1  # the scale ends at the largest error, but not below this


def columns_of(count: int) -> int:
    """Return how many of `count` frames stand beside one another in a sheet."""
    return math.ceil(math.sqrt(count))


def write_sheet(frames: Tensor, path: Path) -> None:
    """Write frames (T, C, H, W), in [0, 1] or uint8, to one WebP image: rows of `columns_of(T)` frames."""
    shown = to_rgb(frames)  # (T, 3, H, W)
    count, _, height, width = shown.shape
    across = columns_of(count)
    down = math.ceil(count / across)
    sheet = torch.zeros(down * across, 3, height, width, dtype=torch.uint8)
    sheet[:count] = shown
    image = sheet.view(down, across, 3, height, width).permute(0, 3, 1, 4, 2).reshape(down * height, across * width, 3)
    small = max(height, width) <= LOSSLESS
    Image.fromarray(image.contiguous().numpy()).save(path, "WEBP", lossless=small, quality=QUALITY)


def error_frames(truth: Tensor, prediction: Tensor) -> tuple[Tensor, float]:
    """Return the error of each pixel, the mean over its channels, as colours, and the error that is brightest.

    Args:
        truth: (n, C, H, W) in [0, 1].
        prediction: the same shape.

    Returns:
        (n, 3, H, W) in [0, 1], and the end of the scale.
    """
    error = (truth - prediction).abs().mean(dim=1)  # (n, H, W)
    scale = max(FAINTEST, float(error.amax()))
    return heat(error / scale), scale


def heat(values: Tensor) -> Tensor:
    """Return values (n, H, W) in [0, 1] as colours (n, 3, H, W) in [0, 1], dark to bright."""
    colors = torch.tensor(HEAT, dtype=torch.float32) / 255  # (4, 3)
    place = values.clamp(0, 1) * (len(HEAT) - 1)
    low = place.floor().clamp(max=len(HEAT) - 2)
    part = (place - low).unsqueeze(-1)  # (n, H, W, 1)
    shades = torch.lerp(colors[low.long()], colors[low.long() + 1], part)
    return shades.permute(0, 3, 1, 2).contiguous()
