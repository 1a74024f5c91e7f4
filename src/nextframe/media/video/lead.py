"""What a video stores before its first frame that can be decoded: the rest of a GOP that was cut."""

from __future__ import annotations

from typing import Any

import av


class CorruptError(ValueError):
    """A frame that the decoder itself marks as corrupt."""


class Lead:
    """The packets before the first frame.

    A recording that was joined, or cut without encoding it again, begins with frames that refer to ones which are
    not there. Players pass over them. So does this, but not over a key frame, nor over a frame that is shown after one
    that was decoded: that is damage.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[int | None, bool]] = []  # time stamp and whether it is a key frame, of each packet
        self._passed: list[int | None] = []  # time stamps of packets that could not be decoded
        self._keys: list[int | None] = []  # of key frames that are shown
        self._indexed: set[int] | None = None  # where the container's index says that key frames are

    def decode(self, packet: Any, cut: bool) -> list[Any]:
        """Return the frames that `packet` completes; if the file is `cut`, none where it cannot be decoded.

        Raises:
            CorruptError: a key frame was passed over, or a frame that is shown after the first.
            av.FFmpegError: the packet cannot be decoded.
        """
        is_key = packet.is_keyframe or (cut and self._is_indexed_key(packet))
        self._seen.append((packet.pts, is_key))
        self._keys += [packet.pts] if is_key and not packet.is_discard else []
        try:
            frames: list[Any] = packet.decode()
        except av.error.InvalidDataError:
            if not cut or is_key:
                raise
            self._passed.append(packet.pts)
            return []
        if cut:
            frames = [frame for frame in frames if frame.key_frame or not frame.is_corrupt]
        if frames and cut:
            self._check(frames[0].pts)
        return frames

    def _is_indexed_key(self, packet: Any) -> bool:
        """Return whether the container's index calls it a key frame: of a damaged one the packet itself does not."""
        if self._indexed is None:
            self._indexed = {entry.pos for entry in packet.stream.index_entries if entry.is_keyframe}
        return packet.pos is not None and packet.pos in self._indexed

    def _check(self, first: int | None) -> None:
        if any(_is_later(pts, first) for pts in self._passed) or any(_is_later(first, pts) for pts in self._keys):
            raise CorruptError("a key frame or one after it cannot be decoded")

    def is_cut(self, first: Any) -> bool:
        """Return whether the file begins with packets, no key frame among them, that give no frame before `first`."""
        pts, is_key = self._seen[0]
        return not is_key and pts is not None and _is_later(first.pts, pts)


def _is_later(pts: int | None, than: int | None) -> bool:
    return pts is not None and than is not None and pts > than
