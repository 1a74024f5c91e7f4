"""TensorFlow's bundle of tensors, which a SavedModel keeps as `variables`, read without TensorFlow.

The index is a table of LevelDB: blocks of sorted keys and values, a block that says where those are, and a footer
that says where that one is. A value is a BundleEntryProto: type, shape and place of a tensor in one of the files
`variables.data-00000-of-00001`. Each block and each tensor has a masked CRC32C, and all that is read is checked by it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from nextframe.checkpoint.foreign.keras.wire import DamagedError, Fields, masked_crc32c, read_message, read_varint
from nextframe.core.errors import BadInputError

_END = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER, _TRAILER = 48, 5
_MOST, _LONGEST = 1 << 20, 1000  # bytes of an index, of which a thousand tensors take a tenth; and of a name
TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}  # TensorFlow's: numpy's


@dataclass(frozen=True)
class Entry:
    """Where a tensor is: `kind` is TensorFlow's number of its type, `shard` that of its file."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int | None
    whole: bool  # not stored in slices


class Bundle:
    """The tensors of a bundle by name; each is read from its file when it is asked for.

    Args:
        index: the file whose name ends in .index.

    Raises:
        BadInputError: not such a file, or one that is damaged.
    """

    def __init__(self, index: Path) -> None:
        self.index = index
        try:
            if index.stat().st_size > _MOST:
                raise DamagedError("it is larger than 1 MiB")
            table = read_table(index.read_bytes())
            header = read_message(table.pop(b"", b""))
            self.shards = _number(header, 1)
            if _number(header, 2) != 0:
                raise DamagedError("it is of a big-endian machine")
            self.entries = {key.decode(): _entry(read_message(value)) for key, value in table.items()}
        except (DamagedError, UnicodeDecodeError) as error:
            raise BadInputError(index, f"is not the index of a TensorFlow bundle, or is damaged ({error})") from None
        except OSError as error:
            raise BadInputError(index, f"cannot be read ({error.strerror})") from None

    def read(self, name: str) -> np.ndarray:
        """Return tensor `name`.

        Raises:
            BadInputError: of a type that is not a number, stored in slices, or with bytes that are missing or damaged.
        """
        entry = self.entries[name]
        shard = self.index.with_name(f"{self.index.stem}.data-{entry.shard:05d}-of-{self.shards:05d}")
        try:
            data = self._bytes(entry, shard)
        except DamagedError as error:
            raise BadInputError(shard, f"'{name}': {error}") from None
        except OSError as error:
            raise BadInputError(shard, f"cannot be read ({error.strerror})", "a bundle is its index and data") from None
        return np.frombuffer(data, TYPES[entry.kind]).reshape(entry.shape)

    def _bytes(self, entry: Entry, shard: Path) -> bytes:
        if entry.kind not in TYPES or not entry.whole:
            raise DamagedError(f"is of TensorFlow's type {entry.kind}" if entry.whole else "is stored in slices")
        if prod(entry.shape) * np.dtype(TYPES[entry.kind]).itemsize != entry.size:
            raise DamagedError(f"{entry.size} bytes are not of shape {entry.shape}")
        if entry.offset + entry.size > shard.stat().st_size:
            raise DamagedError("ends after the file, which is cut short")
        with shard.open("rb") as file:
            file.seek(entry.offset)
            data = file.read(entry.size)
        if entry.checksum is not None and masked_crc32c(data) != entry.checksum:
            raise DamagedError("has another checksum than its index says: it is damaged")
        return data


def read_table(data: bytes) -> dict[bytes, bytes]:
    """Return the keys and values of a table of LevelDB whose blocks are not compressed.

    Raises:
        DamagedError: it is not one; the line says what is wrong.
    """
    if len(data) < _FOOTER or not data.endswith(_END):
        raise DamagedError("it has not the end of a table")
    *statistics, at = _handle(data, len(data) - _FOOTER)
    list(_block(data, *statistics))  # TensorFlow leaves it empty: it is read to know that the file is whole
    *blocks, _ = _handle(data, at)
    table: dict[bytes, bytes] = {}
    before = 0
    for _, handle in _block(data, *blocks):
        offset, size, _ = _handle(handle, 0)
        if offset < before:
            raise DamagedError("its blocks overlap")
        before = offset + size
        table.update(_block(data, offset, size))
    return table


def _handle(data: bytes, at: int) -> tuple[int, int, int]:
    """Return the place and size of a block, which stand at byte `at`, and where they end."""
    offset, at = read_varint(data, at)
    return (offset, *read_varint(data, at))


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values; a key is stored as how much it shares with the one before, and the rest."""
    end = offset + size
    if size < 4 or end + _TRAILER > len(data):
        raise DamagedError("a block ends after the file")
    if masked_crc32c(data[offset : end + 1]) != int.from_bytes(data[end + 1 : end + _TRAILER], "little"):
        raise DamagedError("the checksum of a block is wrong")
    if data[end] != 0:
        raise DamagedError("its blocks are compressed, and TensorFlow's are not")
    content = data[offset:end]
    stop = size - 4 - 4 * int.from_bytes(content[-4:], "little")  # places where keys are whole: only for searching
    at, key = 0, b""
    while at < stop:
        shared, at = read_varint(content, at)
        own, at = read_varint(content, at)
        length, at = read_varint(content, at)
        if shared > len(key) or at + own + length > stop or shared + own > _LONGEST:
            raise DamagedError("an entry ends after its block, or has a name that is too long")
        key = key[:shared] + content[at : at + own]
        yield key, content[at + own : at + own + length]
        at += own + length


def _entry(fields: Fields) -> Entry:
    """Read a BundleEntryProto; a field that is absent is 0."""
    dims = read_message(_bytes(fields.get(2, [b""])[-1])).get(2, [])
    shape = tuple(_number(read_message(_bytes(dim)), 1) for dim in dims)
    checksum = _checked(fields[6][-1]) if 6 in fields else None
    shard, offset, size = (_number(fields, field) for field in (3, 4, 5))
    return Entry(_number(fields, 1), shape, shard, offset, size, checksum, 7 not in fields)


def _number(fields: Fields, field: int) -> int:
    return _checked(fields.get(field, [0])[-1])


def _checked(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise DamagedError("a field that is a number holds text")
    return value


def _bytes(value: int | bytes) -> bytes:
    if not isinstance(value, bytes):
        raise DamagedError("a field that holds fields is a number")
    return value
