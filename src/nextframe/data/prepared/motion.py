"""How much moves in a crop of a span: sums of squared differences of consecutive frames, exact in integers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from nextframe.media.source import Image

Ints = NDArray[np.int64]
UNIT = 127.5**2  # a squared difference of 8-bit values is this many times that of values in [-1, 1]
GATHER_COST = 6  # the cost of a pixel of a crop relative to one of the whole frame: many small copies


def energy(frames: Sequence[Image]) -> Ints:
    """Return, for each pixel, the squared differences of consecutive frames, summed over pairs and channels.

    Args:
        frames: two or more of (H, W, C) uint8.

    Returns:
        (H, W) int64 of 8-bit units, exact.
    """
    height, width, channels = frames[0].shape
    total = np.zeros((height, width * channels), np.uint32)  # overflows after 2**32 / 255**2 = 66,000 frames
    for first, second in pairwise(frames):
        change = cv2.absdiff(first.reshape(total.shape), second.reshape(total.shape)).astype(np.uint16)
        change *= change  # at most 255**2, which 16 bits hold
        total += change
    planes = total.reshape(height, width, channels).astype(np.int64)
    return np.asarray(sum((planes[..., c] for c in range(1, channels)), planes[..., 0]))


def integral_image(values: Ints) -> Ints:
    """Return (H + 1, W + 1) whose item [y, x] is the sum of values (H, W) above row y and left of column x."""
    table = np.zeros((values.shape[0] + 1, values.shape[1] + 1), np.int64)
    np.cumsum(values, axis=0, out=table[1:, 1:])
    np.cumsum(table[1:, 1:], axis=1, out=table[1:, 1:])
    return table


class CropMotion:
    """The motion of crops of one span.

    For many crops, or small frames, the span's integral image is made once and each crop is four look-ups; a few
    small crops of large frames are summed directly. Both are exact, so the result does not depend on which is chosen.
    """

    def __init__(self, frames: Sequence[Image], size: tuple[int, int]) -> None:
        self._frames, self._size = frames, size  # (H, W, C) uint8 each; the crops' height and width
        self._table: Ints | None = None

    def sums(self, tops: Ints, lefts: Ints) -> Ints:
        """Return the motion, (N,) in 8-bit units, of crops whose first rows and columns are `tops` and `lefts`."""
        height, width = self._size
        frame = self._frames[0]
        if self._table is None and len(tops) * height * width * GATHER_COST < frame.shape[0] * frame.shape[1]:
            return np.array([self._direct(y, x) for y, x in zip(tops, lefts, strict=True)], np.int64)
        if self._table is None:
            self._table = integral_image(energy(self._frames))
        table, down, right = self._table, tops + height, lefts + width
        return np.asarray(table[down, right] - table[tops, right] - table[down, lefts] + table[tops, lefts])

    def _direct(self, top: int, left: int) -> int:
        rows, columns = slice(top, top + self._size[0]), slice(left, left + self._size[1])
        return int(energy([np.ascontiguousarray(frame[rows, columns]) for frame in self._frames]).sum())
