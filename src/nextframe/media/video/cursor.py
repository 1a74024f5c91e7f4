"""Frames of a source by number: seeks where that is exact, or decodes on from its position if that is nearer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError, UserError
from nextframe.media.source import Image, Source
from nextframe.media.video.decode import PYAV_ERRORS, Video

T = TypeVar("T")
Keep = Callable[[Image], Image]
REORDER = 16  # frames that a decoder may hold back: a shorter jump saves nothing


class Cursor(ABC):
    """An open source positioned at some frame."""

    def __init__(self, source: Source) -> None:
        self.source = source

    @abstractmethod
    def read(self, numbers: Sequence[int], keep: Keep) -> dict[int, Image]:
        """Return `keep(frame)` for each of the ascending frame `numbers`, before any stride.

        Raises:
            BadInputError: damage on the way; UserError: the source has fewer frames than it had when it was indexed.
        """

    @abstractmethod
    def close(self) -> None:
        """Close the file; the cursor opens it again when it is next used."""


class StreamCursor(Cursor):
    """Reads what `Source.decode` yields; `jumps` says whether decoding may begin at any frame at no cost."""

    def __init__(self, source: Source, jumps: bool) -> None:
        super().__init__(source)
        self._jumps, self._frames, self._next = jumps, iter(()), 0  # type: tuple[bool, Iterator[Image], int]

    def read(self, numbers: Sequence[int], keep: Keep) -> dict[int, Image]:
        """Return the frames; a stream that is before the first of them is read on."""
        return {number: keep(self._frame(number)) for number in numbers}

    def _frame(self, number: int) -> Image:
        if number < self._next or self._next == 0 or (self._jumps and number > self._next):
            self.close()
            self._frames, self._next = self.source.decode(number), number
        for image in self._frames:
            self._next += 1
            if self._next > number:
                return image
        self._next = 0
        raise UserError(f"{self.source.path}: frame {number} is gone; did the file change?")

    def close(self) -> None:
        """End the stream."""
        if hasattr(self._frames, "close"):
            self._frames.close()
        self._frames, self._next = iter(()), 0


class VideoCursor(Cursor):
    """Reads a video whose frames' time stamps and seek points are known.

    `pts` are the time stamps of all frames, ascending; `keys` the frames at which decoding may begin and gives what
    a full decode gives. Frames that no other frame refers to (H.264 with nal_ref_idc 0) are decoded only
    if they are requested. If a jump does not give what it should, the file is decoded from its start.
    """

    def __init__(self, source: Video, pts: NDArray[np.int64], keys: NDArray[np.int64]) -> None:
        super().__init__(source)
        self.video, self._pts, self._keys = source, pts, keys
        self._plain = StreamCursor(source, jumps=False)
        self._container: Any = None
        self._frames: Iterator[tuple[int, Any]] = iter(())
        self._asked: frozenset[int] = frozenset()
        self._last = 0  # of the requested frames
        self._shown = -1  # the last frame decoded
        self._skipped = -1  # the last frame, in order of time, that was not decoded

    def read(self, numbers: Sequence[int], keep: Keep) -> dict[int, Image]:
        """Return the frames, jumping to the nearest seek point before the first unless the cursor is nearer."""
        try:
            found = self._collect(numbers, keep)
        except (*PYAV_ERRORS, BadInputError):
            found = {}
        if len(found) < len(numbers):
            self._let_go()
            found |= self._plain.read([n for n in numbers if n not in found], keep)
            self._plain.close()
        return found

    def jump(self, numbers: Sequence[int], keep: Callable[[Image], T]) -> dict[int, T]:
        """Return the frames that a jump to the first gives, fewer if it fails: to find out if it can be used."""
        self._let_go()  # a decoder that remembers what came before the jump could hide that it fails
        try:
            return self._collect(numbers, keep)
        except (*PYAV_ERRORS, BadInputError):
            self._let_go()
            return {}

    def _collect(self, numbers: Sequence[int], keep: Callable[[Image], T]) -> dict[int, T]:
        self._asked, self._last = frozenset(numbers), numbers[-1]
        if not self._stands_before(numbers[0]):
            self._enter(numbers[0])
        found: dict[int, T] = {}
        for number, frame in self._frames:
            self._shown = max(number, self._shown)
            if number in self._asked and not frame.is_corrupt:
                found[number] = keep(self.video.image(frame, number))
            if len(found) == len(numbers) or number > self._last:
                break
        return found

    def _stands_before(self, number: int) -> bool:
        """Return whether decoding on reaches `number` and no seek point is much nearer to it."""
        if self._container is None or number <= max(self._shown, self._skipped):
            return False
        return self._key(number) <= self._shown + REORDER

    def _key(self, number: int) -> int:
        at = int(np.searchsorted(self._keys, number, side="right")) - 1
        return int(self._keys[at]) if at >= 0 else 0

    def _enter(self, number: int) -> None:
        key = self._key(number)
        if self._container is None:
            self._open(jumping=key > 0)
        self._container.seek(int(self._pts[key]), stream=self._stream)
        self._shown = self._skipped = -1
        self._frames = self._decode(self._container, self._stream)

    def _open(self, jumping: bool) -> None:
        self._container = self.video.open()
        self._stream = self.video.stream(self._container)
        # After a jump, frames that are shown before the seek point may refer to what was not decoded. They are
        # not requested, so they must not be errors, as they are when `Video` reads.
        self._stream.codec_context.options = {"max_pixels": str(self.video.limits.pixels)}
        # Some files state only at their first frame how all of them are coded (x264's build number, to which FFmpeg
        # adapts), so a decoder that has not seen it gives broken frames.
        if jumping:
            next(self._container.decode(self._stream), None)

    def _decode(self, container: Any, stream: Any) -> Iterator[tuple[int, Any]]:
        context, skipping = stream.codec_context, False
        context.skip_frame = "DEFAULT"
        can_skip = context.name == "h264"
        for packet in container.demux(stream):
            number = self._number(packet.pts)
            skip = can_skip and 0 <= number < self._last and number not in self._asked
            if skip:
                self._skipped = max(self._skipped, number)
            if skip != skipping:
                context.skip_frame, skipping = "NONREF" if skip else "DEFAULT", skip
            for frame in packet.decode():
                shown = self._number(frame.pts)
                if shown >= 0:
                    yield shown, frame

    def _number(self, stamp: int | None) -> int:
        """Return which frame has this time stamp, -1 if none has; a table of a long video's would take much memory."""
        at = len(self._pts) if stamp is None else int(np.searchsorted(self._pts, stamp))
        return at if at < len(self._pts) and self._pts[at] == stamp else -1

    def close(self) -> None:
        """Close the file and its decoder."""
        self._plain.close()
        self._let_go()

    def _let_go(self) -> None:
        if self._container is not None:
            self._frames = iter(())
            self._container.close()
        self._container = None
