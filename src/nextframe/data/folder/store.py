"""Frames of many sources by number, brought to one size and colour, from a few open files and a bounded cache."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.media.reader import open_source
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.source import Color, Image, recolor
from nextframe.media.video.cursor import Cursor, StreamCursor, VideoCursor
from nextframe.media.video.decode import Video
from nextframe.media.video.kept import SourceIndex

MOST_OPEN = 64  # files
DECODER_BYTES = 2**29  # bytes of all open decoders, by the estimate of `_weight`
_INHERITED: list[object] = []  # decoders of a parent process: freeing them would hang, as their threads are not here


@dataclass(frozen=True)
class Member:
    """A source of the data set: one file or folder, one sequence of an array file, or a part of a video.

    Of a part, `index.frames` are counted from frame `first` of the file, and so are its cuts; its time stamps and seek
    points are those of the whole file.
    """

    path: Path
    name: str
    index: SourceIndex
    sequence: int = 0
    reading: Reading = DEFAULT
    first: int = 0


class FrameStore:
    """Reads frames of `members`; each is passed through `fit` once and cached while there is room."""

    def __init__(
        self,
        members: Sequence[Member],
        channels: int,
        color: Color | None,
        fit: Callable[[Image], Image] | None,
        room: int,
    ) -> None:
        """Keep at most `room` bytes of decoded frames; with `fit` None frames stay as they are."""
        self.members, self.channels, self.color, self.room = members, channels, color, room
        self._fit = fit
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._cursors: OrderedDict[int, Cursor] = OrderedDict()
        self._videos: dict[int, Video] = {}
        self._cache: OrderedDict[tuple[int, int], Image] = OrderedDict()
        self._bytes = 0

    def frames(self, member: int, numbers: Sequence[int], more: Callable[[], Sequence[int]]) -> dict[int, Image]:
        """Return frames by number (before any stride), as (H, W, C) uint8.

        Args:
            member: which source.
            numbers: ascending.
            more: called if something must be decoded: other frames that will be needed soon, ascending.

        Raises:
            UserError: the source changed or is damaged.
        """
        if self._process != os.getpid():
            _INHERITED.append(self._cursors)
            self._begin()
        found = {n: self._cache[member, n] for n in numbers if (member, n) in self._cache}
        if len(found) < len(numbers):
            wanted = sorted(n for n in {*numbers, *more()} if (member, n) not in self._cache)
            first = self.members[member].first
            read = self._cursor(member).read([first + n for n in wanted], self._prepare)
            fresh = {n - first: image for n, image in read.items()}
            found |= {n: fresh[n] for n in numbers if n in fresh}
            self._keep(member, fresh)
        for number in numbers:
            if (member, number) in self._cache:
                self._cache.move_to_end((member, number))
        return found

    def _prepare(self, image: Image) -> Image:
        image = recolor(image, self.channels)
        return np.ascontiguousarray(image if self._fit is None else self._fit(image))

    def _keep(self, member: int, fresh: dict[int, Image]) -> None:
        for number, image in fresh.items():
            self._cache[member, number] = image
            self._bytes += image.nbytes
        while self._bytes > self.room and self._cache:
            self._bytes -= self._cache.popitem(last=False)[1].nbytes

    def _cursor(self, member: int) -> Cursor:
        cursor = self._cursors.get(member)
        if cursor is None:
            self._make_room(member)
            cursor = self._cursors[member] = self._open(member)
        self._cursors.move_to_end(member)
        return cursor

    def _make_room(self, member: int) -> None:
        """Close the least recently used files, until one more may be open."""
        while self._cursors and (
            len(self._cursors) >= MOST_OPEN or self._weight(member, *self._cursors) > DECODER_BYTES
        ):
            self._cursors.popitem(last=False)[1].close()

    def _weight(self, *members: int) -> int:
        """Return about how many bytes open decoders hold: up to 20 frames of 1.5 bytes a pixel each."""
        indices = [self.members[member].index for member in members]
        return sum(index.height * index.width * 30 for index in indices if index.kind == "video")

    def _open(self, number: int) -> Cursor:
        member = self.members[number]
        color = self.color
        if color is None and not member.path.is_file():  # the index knows it: else the header of every image is read
            color = "grey" if member.index.channels == 1 else "rgb"
        source = self._videos.get(number) or open_source(
            member.path, color=color, sequence=member.sequence, reading=member.reading
        )
        if not isinstance(source, Video):
            return StreamCursor(source, jumps=source.kind in ("frames", "image", "array"))
        self._videos[number] = source  # it has no open file, only what was learned by opening it
        if len(member.index.keys):
            return VideoCursor(source, member.index.pts, member.index.keys)
        return StreamCursor(source, jumps=False)

    def close(self) -> None:
        """Close every file and forget every frame."""
        for cursor in self._cursors.values():
            cursor.close()
        self._begin()

    def __getstate__(self) -> dict[str, Any]:
        """Drop open files and frames when this is pickled for another process."""
        return {k: v for k, v in self.__dict__.items() if not k.startswith("_") or k == "_fit"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()
