"""Clips in WebDataset shards: tar files of `KEY.npy` and `KEY.json`, all records of the same size.

The bytes depend on the clips alone (no dates, no owners), and clip i of a shard begins at i times the record's size:
one read gets it, without an index, from a disk or by a range request. Any tar program opens a shard.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError

BLOCK = tarfile.BLOCKSIZE  # 512: everything in a tar file is padded to it
END = bytes(2 * BLOCK)
Clips = NDArray[np.uint8]  # (N, T, C, H, W)
Note = Mapping[str, Any]  # what is known of a clip: where it comes from, why it was kept


@dataclass(frozen=True)
class Layout:
    """The shape (T, C, H, W) of every clip, and how many bytes of JSON come with it."""

    shape: tuple[int, ...]
    note_bytes: int

    @cached_property
    def head(self) -> bytes:
        """The header of each .npy file."""
        head = io.BytesIO()
        description = {"descr": "|u1", "fortran_order": False, "shape": tuple(self.shape)}
        np.lib.format.write_array_header_1_0(head, description)
        return head.getvalue()

    @property
    def clip_bytes(self) -> int:
        """Bytes of the pixels of a clip."""
        return int(np.prod(self.shape))

    @property
    def clip_at(self) -> int:
        """Where the pixels begin in a record."""
        return BLOCK + len(self.head)

    @property
    def note_at(self) -> int:
        """Where the JSON begins in a record."""
        return BLOCK + padded(len(self.head) + self.clip_bytes) + BLOCK

    @property
    def record_bytes(self) -> int:
        """Bytes from one clip to the next."""
        return self.note_at + padded(self.note_bytes)

    def shard_bytes(self, clips: int) -> int:
        """Return the size of a shard of `count` clips."""
        return clips * self.record_bytes + len(END)


def padded(count: int) -> int:
    """Return `count` rounded up to whole blocks of a tar file."""
    return -(-count // BLOCK) * BLOCK


def write_shard(path: Path, keys: Sequence[str], clips: Clips, notes: Sequence[Note], layout: Layout) -> None:
    """Write a shard under a temporary name, flush it to the disk and rename it: it is there whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    head = layout.head
    try:
        with temporary.open("wb") as file:
            for key, clip, note in zip(keys, clips, notes, strict=True):
                text = json.dumps(note).encode().ljust(layout.note_bytes)
                _add(file, f"{key}.npy", [head, clip.tobytes()])
                _add(file, f"{key}.json", [text])
            file.write(END)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _add(file: io.BufferedWriter, name: str, parts: Sequence[bytes]) -> None:
    info = tarfile.TarInfo(name)  # without date and owner
    info.size = sum(map(len, parts))
    file.write(info.tobuf(tarfile.USTAR_FORMAT))
    file.writelines(parts)
    file.write(bytes(padded(info.size) - info.size))


def read_clips(path: Path, layout: Layout, numbers: Sequence[int], out: Sequence[Clips]) -> None:
    """Read clips `numbers` of a shard into the arrays `out`, each (T, C, H, W) uint8 and contiguous.

    The file is opened for each call: nothing is shared between threads or forked processes.

    Raises:
        BadInputError: the shard is gone or cut short.
    """
    step, first, size = layout.record_bytes, layout.clip_at, layout.clip_bytes
    try:
        with path.open("rb", buffering=0) as file:
            for number, clip in zip(numbers, out, strict=True):
                file.seek(number * step + first)
                if file.readinto(clip.data) != size:
                    raise cut_short(path)
    except OSError as error:
        raise BadInputError(path, f"cannot be read ({error.strerror})") from None


def read_note(path: Path, layout: Layout, number: int) -> dict[str, Any]:
    """Return what is known of clip `number` of a shard; BadInputError if it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(number * layout.record_bytes + layout.note_at)
            note: dict[str, Any] = json.loads(file.read(layout.note_bytes))
            return note
    except OSError as error:
        raise BadInputError(path, f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise cut_short(path) from None


def read_notes(path: Path, layout: Layout, clips: int) -> Iterator[dict[str, Any]]:
    """Yield what is known of every clip of a shard, in order."""
    with path.open("rb") as file:
        for number in range(clips):
            file.seek(number * layout.record_bytes + layout.note_at)
            yield json.loads(file.read(layout.note_bytes))


def cut_short(path: Path) -> BadInputError:
    """Return the error for a shard that does not hold what it should."""
    return BadInputError(path, "the shard is truncated or was changed", "copy it again, or delete it and prepare again")
