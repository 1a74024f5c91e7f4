"""The two encodings that TensorFlow's files are made of: messages of protocol buffers, and masked CRC32C sums."""

from __future__ import annotations

from math import isqrt

import numpy as np

Fields = dict[int, list[int | bytes]]

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_MASK = 0xA282EAD8


class DamagedError(ValueError):
    """Bytes that are not what their format asks for; the line says what is wrong with them."""


def _table() -> np.ndarray:
    sums = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        sums = np.where(sums & 1, sums >> 1 ^ np.uint32(_POLYNOMIAL), sums >> 1)
    return sums


TABLE = _table()


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the number of 64 bits at most that starts at byte `at`, low groups of seven bits first, and where it ends.

    Raises:
        DamagedError: it does not end.
    """
    value = 0
    for index, byte in enumerate(data[at : at + 10]):
        value |= (byte & 127) << 7 * index
        if byte < 128:
            return value, at + index + 1
    raise DamagedError("a number does not end")


def read_message(data: bytes) -> Fields:
    """Return the fields of a message by number, each with its values in order: numbers, or bytes not yet read.

    Raises:
        DamagedError: not a message, or one with groups, which nobody writes any more.
    """
    fields: Fields = {}
    at = 0
    while at < len(data):
        key, at = read_varint(data, at)
        value, at = _read_value(data, at, key & 7)
        fields.setdefault(key >> 3, []).append(value)
    return fields


def _read_value(data: bytes, at: int, kind: int) -> tuple[int | bytes, int]:
    """Return a value of wire type `kind`, and where it ends."""
    if kind == 0:
        return read_varint(data, at)
    if kind not in (1, 2, 5):
        raise DamagedError(f"a field is of the unknown kind {kind}")
    size, at = read_varint(data, at) if kind == 2 else ({1: 8, 5: 4}[kind], at)
    if at + size > len(data):
        raise DamagedError("a field ends after its message")
    value = data[at : at + size]
    return (value if kind == 2 else int.from_bytes(value, "little")), at + size


def masked_crc32c(data: bytes) -> int:
    """Return the CRC32C of `data`, rotated and shifted as LevelDB and TensorFlow store it.

    The sum goes byte by byte, so most bytes are laid out as a square, whose rows are summed side by side and then
    joined: a table has what each byte of a sum becomes when as many bytes follow as a row has.
    """
    side = isqrt(len(data))
    lead = len(data) - side * side
    step: list[int] = TABLE.tolist()
    total = 0xFFFFFFFF
    for byte in data[:lead]:
        total = step[(total ^ byte) & 255] ^ total >> 8
    rows = np.zeros(side, dtype=np.uint32)
    for column in np.frombuffer(data, np.uint8, offset=lead).reshape(side, side).T:
        rows = _advanced(rows ^ column)
    moved = np.arange(256, dtype=np.uint32) << 8 * np.arange(4, dtype=np.uint32)[:, None]
    for _ in range(side):
        moved = _advanced(moved)
    first, second, third, fourth = moved.tolist()
    for row in rows.tolist():
        low, high = first[total & 255] ^ second[total >> 8 & 255], third[total >> 16 & 255] ^ fourth[total >> 24]
        total = row ^ low ^ high
    total ^= 0xFFFFFFFF
    return ((total >> 15 | total << 17) + _MASK) & 0xFFFFFFFF


def _advanced(sums: np.ndarray) -> np.ndarray:
    """Return `sums` after one more byte, which is in their lowest bits already."""
    after: np.ndarray = TABLE[sums & 255] ^ sums >> 8
    return after
