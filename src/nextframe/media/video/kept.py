"""Indexes on disk: an index is kept until its file changes, and so is a decoder's verdict that the bytes are bad."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError
from nextframe.core.files.cache import cache_folder
from nextframe.media.video.promise import CUT_SHORT

LOG = logging.getLogger(__name__)
UNREADABLE = (OSError, ValueError, KeyError, TypeError)
Ints = NDArray[np.int64]
# What FFmpeg's decoders return for bytes that they cannot make sense of, though it is an errno of the system too.
VERDICTS = {errno.EINVAL, errno.ENOSYS, errno.EDOM, errno.ERANGE, errno.EILSEQ}
SYSTEM = 4096  # FFmpeg's own codes, such as "invalid data", are larger than any errno


@dataclass(frozen=True)
class SourceIndex:
    """Facts of one file or folder; `frames` are of each of its `sequences`.

    `cuts` are the frames that begin a new shot. `pts` (empty if time stamps do not identify the frames) and `keys`
    are for seeking in a video: see `VideoCursor`.
    """

    kind: str
    codec: str
    height: int
    width: int
    channels: int
    fps: float
    frames: int
    sequences: int
    notes: tuple[str, ...]
    cuts: Ints
    pts: Ints
    keys: Ints

    @property
    def missing(self) -> str:
        """What the file promises and does not hold; "" if all is there."""
        return next((note for note in self.notes if note.startswith(CUT_SHORT)), "")


ARRAYS = ("cuts", "pts", "keys")


def is_lasting(error: BaseException) -> bool:
    """Return whether `error` is about the bytes of a file, so that reading them again would give it again.

    An error with an errno, a lack of memory or a time-out, anywhere among the errors that led to it, is about the
    machine at that moment: permission, a network drive, too many open files.
    """
    cause: BaseException | None = error
    while cause is not None:
        if _of_the_moment(cause):
            return False
        cause = cause.__cause__ or cause.__context__
    return True


def _of_the_moment(error: BaseException) -> bool:
    if isinstance(error, MemoryError | TimeoutError | av.error.ExitError):  # FFmpeg exits when its time is over
        return True
    if isinstance(error, av.error.FFmpegError):
        return 0 < (error.errno or 0) < SYSTEM and error.errno not in VERDICTS
    return isinstance(error, OSError) and error.errno is not None


def place_of(key: str) -> Path:
    """Return the file that the index of the source called `key` is kept in."""
    return cache_folder() / "index" / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.idx"


def load(kept: Path, stamp: str) -> SourceIndex | BadInputError | None:
    """Return the cached index if it has this stamp; None if there is none, or none that is readable."""
    try:
        facts, arrays = _parsed(kept.read_bytes())
        if facts.pop("stamp") != stamp:
            return None
        if "error" in facts:
            return BadInputError(*facts["error"])
        return SourceIndex(**{**facts, "notes": tuple(facts["notes"]), **arrays})
    except UNREADABLE:
        return None


def save(kept: Path, stamp: str, index: SourceIndex | BadInputError) -> None:
    """Keep the index, whole or not at all; a cache that cannot be written costs time but does not stop the run."""
    if isinstance(index, BadInputError):
        facts: dict[str, Any] = {"error": [index.path, index.what, index.fix]}
        arrays: dict[str, Ints] = {}
    else:
        facts = {name: value for name, value in vars(index).items() if name not in ARRAYS}
        arrays = {name: getattr(index, name) for name in ARRAYS}
    temporary = kept.with_name(f".{kept.stem}.{os.getpid()}.tmp")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(_packed({**facts, "stamp": stamp}, arrays))
        os.replace(temporary, kept)
    except OSError as error:
        LOG.warning("the index of a source could not be cached (%s): it is made again each time", error)
        temporary.unlink(missing_ok=True)


def _packed(facts: dict[str, Any], arrays: Mapping[str, Ints]) -> bytes:
    """Return a checksum, a line of JSON and the arrays: a folder may have very many indexes, and NumPy's are slow."""
    head = json.dumps([facts, {name: len(array) for name, array in arrays.items()}]).encode()
    body = b"\n".join([head, b"".join(array.astype("<i8").tobytes() for array in arrays.values())])
    return zlib.crc32(body).to_bytes(4, "little") + body


def _parsed(data: bytes) -> tuple[dict[str, Any], dict[str, Ints]]:
    """Return what was given to `_packed`; ValueError if it is not whole."""
    if zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        raise ValueError("the index is damaged")
    head, _, numbers = data[4:].partition(b"\n")
    facts, lengths = json.loads(head)
    values, arrays, at = np.frombuffer(numbers, "<i8").astype(np.int64), dict[str, Ints](), 0
    for name, length in lengths.items():
        arrays[name], at = values[at : at + length], at + length
    return facts, arrays
