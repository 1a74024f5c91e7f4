"""Scene cuts: frames that differ from the previous one far more than frames around them do."""

from __future__ import annotations

from array import array

import cv2
import numpy as np
from numpy.typing import NDArray

from nextframe.media.source import Image

SIDE = 32  # pixels of the thumbnails that are compared
LEAST = 10.0  # mean absolute difference (of 255) below which nothing is a cut
RATIO = 3.0  # the difference is at least this many times the second largest around it
NEAR = 8  # frames on each side that count as around
STAYS = 0.5  # share of the difference that must remain one frame before and after, or it was a flash


def thumbnail(image: Image) -> Image:
    """Return a frame (H, W, C) as a (32, 32, C) thumbnail of area means."""
    small = cv2.resize(np.ascontiguousarray(image), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8).reshape(SIDE, SIDE, -1)


class CutFinder:
    """Takes thumbnails one by one and keeps only how much each differs from the last two."""

    def __init__(self) -> None:
        self._last: list[Image] = []
        self._one = array("d")  # frame t against t - 1
        self._two = array("d")  # frame t against t - 2

    def add(self, thumb: Image) -> None:
        """Take the next frame's thumbnail, (32, 32, C) uint8."""
        differences = [cv2.norm(thumb, earlier, cv2.NORM_L1) / thumb.size for earlier in reversed(self._last)]
        self._one.append(differences[0] if differences else 0.0)
        self._two.append(differences[1] if len(differences) > 1 else self._one[-1])
        self._last = [*self._last, thumb][-2:]

    def cuts(self) -> NDArray[np.int64]:
        """Return the frames that begin a new shot, in order; frame 0 is not among them."""
        return find_cuts(np.array(self._one), np.array(self._two))


def find_cuts(one: NDArray[np.float64], two: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the frames t at which a new shot begins.

    `one[t]` and `two[t]` are the mean absolute differences (0..255) of frame t from frames t - 1 and t - 2. A cut is
    at least 10, at least 3 times (the second largest difference within 8 frames, plus 1), and persists: the
    second largest allows one other cut nearby, and a flash returns to what was before.
    """
    found = [t for t in np.flatnonzero(one >= LEAST) if t > 0 and _is_cut(one, two, int(t))]
    return np.array(found, dtype=np.int64)


def _is_cut(one: NDArray[np.float64], two: NDArray[np.float64], t: int) -> bool:
    around = np.sort(np.concatenate([one[max(1, t - NEAR) : t], one[t + 1 : t + 1 + NEAR]]))
    usual = around[-2] if len(around) > 1 else around[-1] if len(around) else 0.0
    stays = two[t] if t + 1 >= len(two) else min(two[t], two[t + 1])
    return bool(one[t] >= RATIO * (usual + 1) and stays >= STAYS * one[t])
