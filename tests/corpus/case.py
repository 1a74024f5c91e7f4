"""One row of the corpus: a file that is made, the frames that it must show, and how near to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Frames = NDArray[np.uint8]  # (T, H, W, C), C is 1 or 3
COUNT, HEIGHT, WIDTH = 6, 48, 64


class Near(NamedTuple):
    """How far two videos may be apart, in levels of 255: at the worst value, and on average of a frame."""

    worst: int
    mean: float
    words: str


EXACT = Near(0, 0.0, "the same")
ROUNDED = Near(2, 1.25, "within 2: rounding")
THINNED = Near(12, 2.5, "within 12, 2.5 on average: colours are stored at half the resolution")
COARSE = Near(17, 2.5, "within 17, 2.5 on average: colours are stored at a quarter of the resolution")
FINE = Near(15, 2.0, "within 15, 2 on average: the codec loses a little")
LOSSY = Near(45, 7.0, "within 45, 7 on average: the codec loses more")
SMOOTHED = Near(7, 1.5, "within 7, 1.5 on average: colours between pixels are interpolated in another way")


@dataclass(frozen=True)
class Case:
    """`make` writes the file and returns the frames that it must show; `second` reads it with another program."""

    name: str
    what: str
    make: Callable[[Path], Frames]
    second: Callable[[Path], Frames]
    near: Near = EXACT  # to the frames that were written
    second_near: Near = EXACT  # to what the second reader gives
    fps: float | None = None  # that it must state; None: there is none in the file
    says: str = ""  # part of a note
    options: dict[str, Any] = field(default_factory=dict)  # of Reading
    quick: bool = False  # whether it is one of those that every test run reads
    sequence: int = 0  # of an array with many


def scene(count: int = COUNT, height: int = HEIGHT, width: int = WIDTH) -> Frames:
    """Return waves of colour, (count, height, width, 3), from 0 to 255: no two frames, rows or columns are alike."""
    y, x = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    turns = 2 * np.pi * np.arange(count).reshape(-1, 1, 1) / count
    waves = [np.pi * x + turns, np.pi * y + 1 + turns, np.pi * (x - y) / 1.4 + 2 + turns]
    return np.rint(127.5 + 127.5 * np.cos(np.stack(waves, -1))).astype(np.uint8)


def in_grey(frames: Frames) -> Frames:
    """Return the brightness of RGB frames as ITU-R BT.601 weights it, (T, H, W, 1)."""
    return np.rint(frames @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)[..., None]


def veil(count: int = COUNT, height: int = HEIGHT, width: int = WIDTH) -> Frames:
    """Return alpha for the scene, (count, height, width, 1), from clear to opaque."""
    column, number = np.arange(width), np.arange(count)
    ramp = (column * 4 + number.reshape(-1, 1) * 40) % 256
    return np.broadcast_to(ramp[:, None, :, None], (count, height, width, 1)).astype(np.uint8)


def over_black(frames: NDArray[np.uint8]) -> Frames:
    """Return frames with alpha (..., 2 or 4) over black; others as they are."""
    if frames.shape[-1] in (1, 3):
        return frames
    return np.rint(frames[..., :-1] * (frames[..., -1:] / 255)).astype(np.uint8)


def apart(found: Frames, wanted: Frames) -> tuple[int, float]:
    """Return the worst and the largest mean difference of a frame; the videos must have one shape."""
    assert found.shape == wanted.shape, f"{found.shape} is not {wanted.shape}"
    gap = np.abs(found.astype(int) - wanted.astype(int))
    return int(gap.max()), float(gap.reshape(len(gap), -1).mean(1).max())
