"""What a video file says it holds, to tell the end of its data from its own end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av

CUT_SHORT = "cut short"  # how the note begins
# Containers that state their duration; of others FFmpeg guesses it, from the bit rate or the last time stamp found.
STATES_SECONDS = {"matroska", "mov", "avi", "flv", "asf", "mxf"}
SLACK_FRAMES, SLACK_SHARE = 2, 0.01  # of the stated duration: writers round it, and count the last frame differently


@dataclass(frozen=True)
class Promise:
    """What a file says it holds; None where it does not say. `size` is the bytes that it has."""

    frames: int | None
    seconds: float | None
    bytes: int | None
    size: int

    @property
    def bytes_missing(self) -> bool:
        """Whether the file ends before a box or chunk of it does."""
        return self.bytes is not None and self.bytes > self.size

    @property
    def size_in_words(self) -> str:
        """How much of the file is there."""
        return f"{self.size:,} of {self.bytes:,} bytes"

    def shortfall(self, frames: int | None, end: float, rate: float, reopen: Callable[[], Any]) -> str:
        """Return a note with what is there and what should be; "" if nothing is missing.

        Args:
            frames: how many were decoded; None: only the last of them were.
            end: seconds at which the last one ends.
            rate: frames per second.
            reopen: opens the file again, to see how long its other streams are: sound may go on after the last frame.
        """
        slack = max(SLACK_FRAMES / rate, SLACK_SHARE * (self.seconds or 0.0))
        early = self.seconds is not None and end < self.seconds - slack
        if early and not self.bytes_missing:
            early = _last_of_all(reopen) < (self.seconds or 0.0) - slack
        stated = self.frames or (round(self.seconds * rate) if self.seconds else None)
        about = "" if self.frames else "about "
        if frames is None or stated is None:
            where = f"it ends at {end:.3g} of {self.seconds:.3g} seconds" if self.seconds else "its end is missing"
            cut = early or (self.bytes_missing and self.seconds is None)
        else:
            where = f"{frames} of {about}{stated} frames are there"
            cut = frames < stated and (early or self.bytes_missing)
        size = f", {self.size_in_words}" if self.bytes_missing else ""
        return f"{CUT_SHORT}: {where}{size}" if cut else ""


def _last_of_all(reopen: Callable[[], Any]) -> float:
    """Return the seconds at which the last packet of any stream ends, as far as packets can be read."""
    last = 0.0
    with reopen() as container:
        try:
            for packet in container.demux():
                if packet.pts is not None:
                    last = max(last, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        except (av.FFmpegError, OSError, ValueError):  # a packet that is cut: there is nothing after it
            return last
    return last


def promised(path: Path, container: Any, stream: Any) -> Promise:
    """Return what an open PyAV container says of itself and of its video `stream`."""
    frames = stream.frames or _whole_number(stream.metadata.get("NUMBER_OF_FRAMES", ""))
    states = STATES_SECONDS.intersection(container.format.name.split(","))
    seconds = container.duration / 1e6 if states and container.duration else None
    return Promise(frames or None, seconds, stated_bytes(path), path.stat().st_size)


def _whole_number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) < 12 else None


def stated_bytes(path: Path) -> int | None:
    """Return at which byte the last box (MP4), chunk (RIFF) or segment (Matroska) ends; None if nothing says so."""
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            return _end_of_chunks(file)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
            return _end_of_boxes(file)
        return _end_of_segment(file) if head[:4] == b"\x1a\x45\xdf\xa3" else None


def _end_of_chunks(file: BinaryIO) -> int:
    """Walk RIFF chunks: AVI has several when it is large (OpenDML)."""
    at = file.seek(0)
    while len(header := file.read(8)) == 8 and header[:4] == b"RIFF":
        size = int.from_bytes(header[4:], "little")
        at = file.seek(at + 8 + size + size % 2)
    return at


def _end_of_boxes(file: BinaryIO) -> int | None:
    """Walk the boxes of ISO 14496-12, section 4.2: 32 or 64 bits of size, or 0 for the rest of the file."""
    at = file.seek(0)
    while len(header := file.read(16)) >= 8 and header[4:8].isalnum():
        size = int.from_bytes(header[:4], "big")
        if size == 1:
            size = int.from_bytes(header[8:], "big")
        if size == 0:
            return None
        if size < 8:
            break
        at = file.seek(at + size)
    return at


def _end_of_segment(file: BinaryIO) -> int | None:
    """Read the sizes of the EBML header and of the segment after it (RFC 8794, section 4)."""
    file.seek(4)
    header = _vint(file)
    if header is None:
        return None
    file.seek(header, 1)
    if file.read(4) != b"\x18\x53\x80\x67":
        return None
    size = _vint(file)
    return None if size is None else file.tell() + size


def _vint(file: BinaryIO) -> int | None:
    """Read an EBML size; None if it is unknown, as in a stream, or damaged."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    value = int.from_bytes(bytes([first[0] & (0xFF >> length)]) + file.read(length - 1), "big")
    return None if value == (1 << 7 * length) - 1 else value
