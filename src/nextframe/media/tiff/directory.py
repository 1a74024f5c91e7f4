"""The image file directories of a TIFF, read without decoding a pixel (TIFF 6.0, section 2; BigTIFF)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, DESCRIPTION, OFFSETS, SAMPLES, SAMPLE_FORMAT = (
    254, 256, 257, 258, 259, 270, 273, 277, 339,
)  # fmt: skip
WANTED = {SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, DESCRIPTION, OFFSETS, SAMPLES, SAMPLE_FORMAT}
REDUCED_OR_MASK = 0b101  # of the bits of SUBFILE: a smaller copy of another page, or a mask of one
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 6: 1, 7: 1, 8: 2, 9: 4, 13: 4, 16: 8, 17: 8, 18: 8}  # bytes of a value of each type
LETTERS = {1: "B", 2: "B", 3: "H", 4: "L", 6: "b", 7: "B", 8: "h", 9: "l", 13: "L", 16: "Q", 17: "q", 18: "Q"}
LONGEST = 2**16  # bytes of a value that is read: a description
MOST_ENTRIES = 4096


@dataclass(frozen=True)
class Directory:
    """One page: the tags that matter, by number; a tag that is missing has the default of the specification."""

    tags: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def first(self, tag: int, default: int = 0) -> int:
        """Return the first value of `tag`."""
        return self.tags.get(tag, (default,))[0]

    @property
    def is_frame(self) -> bool:
        """Whether it is an image of its own, not a smaller copy or the mask of another page."""
        return not self.first(SUBFILE) & REDUCED_OR_MASK

    @property
    def description(self) -> str:
        """Its text, which programs use for what the format cannot say."""
        return bytes(self.tags.get(DESCRIPTION, ())).decode("utf-8", "replace").rstrip("\0")


def directories(path: Path) -> Iterator[Directory]:
    """Yield the pages of a TIFF or BigTIFF in the order of the file.

    Raises:
        ValueError: the chain of pages is broken.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            raise ValueError("the header is not a TIFF's")
        big = 43 in head[2:4]
        (at,) = struct.unpack(order + ("Q" if big else "L"), head[8:16] if big else head[4:8])
        seen = set[int]()
        while at:
            if at in seen:
                raise ValueError("its pages form a circle")
            seen.add(at)
            directory, at = _read(file, at, order, big)
            yield directory


def _read(file: BinaryIO, at: int, order: str, big: bool) -> tuple[Directory, int]:
    """Return the directory at byte `at`, and where the next one is (0: there is none)."""
    entry, count_form, offset_form = (20, "Q", "Q") if big else (12, "H", "L")
    file.seek(at)
    (count,) = _unpack(order + count_form, file)
    if count > MOST_ENTRIES:
        raise ValueError(f"a page has {count} tags")
    entries = file.read(entry * count)
    (following,) = _unpack(order + offset_form, file)
    tags = {}
    for start in range(0, len(entries) - entry + 1, entry):
        tag, kind, number = struct.unpack_from(order + ("HHQ" if big else "HHL"), entries, start)
        if tag in WANTED and kind in SIZES:
            value = entries[start + (12 if big else 8) : start + entry]
            tags[tag] = _values(file, order, kind, number, value, offset_form)
    return Directory(tags), following


def _values(file: BinaryIO, order: str, kind: int, number: int, value: bytes, offset_form: str) -> tuple[int, ...]:
    """Return the values of a tag; of more than fit into 64 KiB the first ones."""
    number = min(number, LONGEST // SIZES[kind])
    size = number * SIZES[kind]
    if size > len(value):
        file.seek(struct.unpack(order + offset_form, value)[0])
        value = file.read(size)
    number = min(number, len(value) // SIZES[kind])
    return struct.unpack_from(f"{order}{number}{LETTERS[kind]}", value) or (0,)


def _unpack(form: str, file: BinaryIO) -> tuple[int, ...]:
    data = file.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise ValueError("the file ends in its list of pages")
    return struct.unpack(form, data)
