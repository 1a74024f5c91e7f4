"""Writes GIFs block by block, so that every part of the format can be used (GIF89a specification)."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COLOURS = 128  # of each table
CLEAR, LAST, RUN = 128, 129, 120  # so many codes after a clear one keep all codes at 8 bits
PASSES = ((0, 8), (4, 8), (2, 4), (1, 2))  # first row and step of an interlaced image


class Picture(NamedTuple):
    """One image of a GIF; `values` (h, w) index its table (COLOURS, 3), `clear` shows what is below."""

    values: NDArray[np.uint8]
    table: NDArray[np.uint8]
    x: int = 0
    y: int = 0
    delay: int = 5  # hundredths of a second
    disposal: int = 1
    clear: int | None = None
    interlaced: bool = False


def write_gif(path: Path, width: int, height: int, pictures: list[Picture], shared_table: bool = False) -> None:
    """Write a GIF with a colour table for each picture, or with that of the first for all."""
    table = pictures[0].table.tobytes() if shared_table else b""
    blocks = [b"GIF89a", struct.pack("<HHBBB", width, height, 0xF6 if shared_table else 0x70, 0, 0), table]
    for picture in pictures:
        flags = picture.disposal << 2 | (picture.clear is not None)
        blocks.append(struct.pack("<BBBBHBB", 0x21, 0xF9, 4, flags, picture.delay, picture.clear or 0, 0))
        tall, wide = picture.values.shape
        own = (0 if shared_table else 0x86) | picture.interlaced << 6
        blocks.append(struct.pack("<BHHHHB", 0x2C, picture.x, picture.y, wide, tall, own))
        blocks += [b"" if shared_table else picture.table.tobytes(), _coded(picture)]
    path.write_bytes(b"".join([*blocks, b";"]))


def _coded(picture: Picture) -> bytes:
    """Return the image data: LZW codes that never refer to earlier ones."""
    rows = picture.values
    if picture.interlaced:
        rows = np.concatenate([rows[first::step] for first, step in PASSES])
    raw = rows.tobytes()
    codes = b"".join(bytes([CLEAR]) + raw[at : at + RUN] for at in range(0, len(raw), RUN)) + bytes([LAST])
    parts = [codes[at : at + 255] for at in range(0, len(codes), 255)]
    return b"\x07" + b"".join(bytes([len(part)]) + part for part in parts) + b"\0"


def composed(width: int, height: int, pictures: list[Picture], shared_table: bool = False) -> NDArray[np.uint8]:
    """Return what a viewer shows, (T, height, width, 3): each picture over what the ones before have left.

    A place is cleared to the background colour, the first of the shared table; to nothing if there is no such table.
    """
    screen, shown = np.zeros((height, width, 3), np.uint8), []
    for picture in pictures:
        tall, wide = picture.values.shape
        place = (slice(picture.y, picture.y + tall), slice(picture.x, picture.x + wide))
        before = screen.copy()
        visible = (
            np.ones((tall, wide, 1), bool) if picture.clear is None else (picture.values != picture.clear)[..., None]
        )
        screen[place] = np.where(visible, picture.table[picture.values], screen[place])
        shown.append(screen.copy())
        if picture.disposal == 2:
            screen[place] = picture.table[0] if shared_table and picture.clear is None else 0
        if picture.disposal == 3:
            screen = before
    return np.stack(shown)
