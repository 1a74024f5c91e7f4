"""Delays and frame counts of animations, read from the container's blocks without decoding a pixel."""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

SHORTEST = 0.02  # seconds; browsers show a frame with a shorter delay for 0.1 s, and so does this
SHOWN = 0.1


@dataclass
class Timing:
    """Seconds that each frame is shown; whether all palettes are grey (GIF) and the file has its end marker."""

    delays: list[float] = field(default_factory=list)
    grey: bool = False
    complete: bool = True
    tick: float = 0.001  # seconds: the clock that delays are rounded to

    @property
    def fps(self) -> float:
        """Frames divided by their total duration, counting delays under 0.02 s as 0.1 s."""
        total = sum(self._shown())
        return len(self.delays) / total if total else 1 / SHOWN

    @property
    def variable(self) -> bool:
        """Whether the frames have different durations, beyond what rounding to the clock makes of equal ones."""
        shown = self._shown()[:-1]  # the last one is often held longer before the loop
        return bool(shown) and max(shown) - min(shown) > 1.5 * self.tick

    def _shown(self) -> list[float]:
        return [delay if delay >= SHORTEST else SHOWN for delay in self.delays]


DURATIONS = "frames have different durations; each counts once"  # what is said of such a source
UNEVEN = 0.1  # part of the usual duration by which others differ, beyond rounding to the container's clock


def is_uneven(stamps: Sequence[int | None]) -> bool:
    """Return whether frames with ascending time stamps, in ticks of the container's clock, have different durations.

    Stamps that are missing or do not ascend say nothing.
    """
    known = [stamp for stamp in stamps if stamp is not None]
    if len(stamps) < 3 or len(known) < len(stamps):
        return False
    steps = np.array([after - before for before, after in itertools.pairwise(known)])
    usual = float(np.median(steps))
    return bool((steps > 0).all() and np.abs(steps - usual).max() > max(UNEVEN * usual, 1.5))


def read_timing(path: Path, kind: str) -> Timing | None:
    """Return the timing of a "gif", "apng" or "webp" file; None for other kinds or when nothing is found."""
    parser = {"gif": _gif, "apng": _apng, "webp": _webp}.get(kind)
    if parser is None:
        return None
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        timing = parser(data)
    return timing if timing.delays else None


def _gif(data: mmap.mmap) -> Timing:
    """Walk the blocks of a GIF (GIF89a specification, sections 18 to 25)."""
    timing, delay, grey = Timing(complete=False, tick=0.01), 0.0, True
    if len(data) < 13:
        return timing
    table = _table_size(data[10])
    grey = _is_grey_table(data[13 : 13 + table])
    at = 13 + table
    while at < len(data):
        block = data[at]
        if block == 0x3B:  # trailer
            timing.complete = True
            break
        if block == 0x21:  # extension
            if data[at + 1 : at + 3] == b"\xf9\x04" and at + 6 <= len(data):
                delay = int.from_bytes(data[at + 4 : at + 6], "little") / 100
            at = _skip_blocks(data, at + 2)
        elif block == 0x2C and at + 10 <= len(data):  # image
            table = _table_size(data[at + 9])
            grey = grey and _is_grey_table(data[at + 10 : at + 10 + table])
            timing.delays.append(delay)
            delay, at = 0.0, _skip_blocks(data, at + 11 + table)
        else:
            at += 1
    timing.grey = grey
    return timing


def _table_size(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _is_grey_table(table: bytes) -> bool:
    return table[0::3] == table[1::3] == table[2::3]


def _skip_blocks(data: mmap.mmap, at: int) -> int:
    while at < len(data) and data[at]:
        at += data[at] + 1
    return at + 1


def _apng(data: mmap.mmap) -> Timing:
    """Walk the chunks of a PNG for frame controls (PNG specification 3, section 11.3.6.2)."""
    timing = Timing()
    at = 8
    while at + 8 <= len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name == b"fcTL" and at + 34 <= len(data):
            top, bottom = (int.from_bytes(data[i : i + 2], "big") for i in (at + 28, at + 30))
            timing.delays.append(top / (bottom or 100))
        at += 12 + size
    return timing


def _webp(data: mmap.mmap) -> Timing:
    """Walk the RIFF chunks of a WebP for animation frames (WebP container specification, "Animation")."""
    timing = Timing()
    for name, start in _riff(data):
        if name == b"ANMF" and start + 15 <= len(data):
            timing.delays.append(int.from_bytes(data[start + 12 : start + 15], "little") / 1000)
    return timing


def _riff(data: mmap.mmap) -> Iterator[tuple[bytes, int]]:
    at = 12
    while at + 8 <= len(data):
        yield data[at : at + 4], at + 8
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + size + size % 2
