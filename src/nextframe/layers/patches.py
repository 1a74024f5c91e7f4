"""Squares of pixels folded into channels and back, in the channel order of PredRNN's code."""

from __future__ import annotations

from torch import Tensor


def fold(frames: Tensor, patch: int) -> Tensor:
    """Fold squares of `patch` pixels a side into channels.

    Args:
        frames: (..., C, H, W), H and W multiples of `patch`; any number of leading axes.
        patch: side of a square in pixels.

    Returns:
        (..., patch * patch * C, H / patch, W / patch); a channel's index counts rows of the square, then columns,
        then C, where `F.pixel_unshuffle` counts C first.
    """
    *leading, channels, height, width = frames.shape
    squares = frames.reshape(-1, channels, height // patch, patch, width // patch, patch)
    maps = squares.permute(0, 3, 5, 1, 2, 4)  # (N, patch, patch, C, h, w)
    return maps.reshape(*leading, patch * patch * channels, height // patch, width // patch)


def unfold(maps: Tensor, patch: int) -> Tensor:
    """Undo `fold`: (..., patch * patch * C, h, w) to (..., C, h * patch, w * patch)."""
    *leading, folded, height, width = maps.shape
    channels = folded // patch**2
    squares = maps.reshape(-1, patch, patch, channels, height, width).permute(0, 3, 4, 1, 5, 2)
    return squares.reshape(*leading, channels, height * patch, width * patch)
