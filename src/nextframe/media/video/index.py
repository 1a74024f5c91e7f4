"""What a full decode of a source found, cached on disk: frames, time stamps, verified seek points, cuts.

An index is made once for each file, by decoding all of it, and again if the file's size or time changes.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.core.errors import BadInputError
from nextframe.media.images import image_names
from nextframe.media.reader import open_source
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.source import Color, Image, Source
from nextframe.media.timing import is_uneven
from nextframe.media.video.cuts import SIDE, CutFinder, thumbnail
from nextframe.media.video.decode import Video
from nextframe.media.video.kept import Ints, SourceIndex, is_lasting, load, place_of, save
from nextframe.media.video.keys import checksum, true_keys

VERSION = 6  # of the index files; those of another version are made again
KEY_DISTANCE = 24  # least frames between seek points: closer ones save little and cost a check each
CHECKED = 8  # frames that are compared at each seek point
NONE: Ints = np.zeros(0, np.int64)


def index_source(
    path: Path, color: Color | None = None, reading: Reading = DEFAULT, *, fresh: bool = False
) -> SourceIndex:
    """Return the index of the source at `path`, from the cache if it is still valid.

    Args:
        path: a file or a frame folder.
        color: as for `open_source`; it decides how the images of a folder are read.
        reading: what the file leaves open.
        fresh: decode again even if there is a valid index.

    Raises:
        BadInputError: the source cannot be read to its end; if that is because of its bytes, this too is cached and not
            tried twice.
    """
    path = path.absolute()
    try:
        stamp = _stamp(path)
    except OSError as error:
        raise BadInputError(path, f"cannot be read ({error.strerror})") from None
    kept = place_of(f"{path}|{None if path.is_file() else color}|{reading if reading != DEFAULT else None}")
    index = None if fresh else load(kept, stamp)
    if index is None:
        index = _scan_or_error(path, color, reading)
        if isinstance(index, SourceIndex) or is_lasting(index):
            save(kept, stamp, index)
    if isinstance(index, BadInputError):
        raise index
    return index


def _stamp(path: Path) -> str:
    """Return a stamp that changes when the file or any image of the folder does."""
    folder, names = (path.parent, [path.name]) if path.is_file() else image_names(path)
    digest = hashlib.sha256()
    for name in names:
        state = os.stat(folder / name)
        digest.update(repr((name, state.st_size, state.st_mtime_ns)).encode())
    return f"{VERSION}|{digest.hexdigest()}"


def _scan_or_error(path: Path, color: Color | None, reading: Reading) -> SourceIndex | BadInputError:
    try:
        return scan(path, color, reading)
    except BadInputError as error:
        return error


def scan(path: Path, color: Color | None = None, reading: Reading = DEFAULT) -> SourceIndex:
    """Decode the source at `path` to its end and return its index; BadInputError if that fails."""
    source = open_source(path, color=color, reading=reading)
    if isinstance(source, Video):
        return _scan_video(source)
    finder, frames = CutFinder(), 0
    for image in source.decode():
        frames += 1
        finder.add(thumbnail(image))
    for sequence in range(1, source.sequences):
        other = open_source(path, color=color, sequence=sequence, reading=reading)
        for _ in other.decode():
            pass
        source.levels.join(other.levels)
    index = _facts(source, frames)
    return index if source.sequences > 1 else replace(index, cuts=finder.cuts())


def _facts(source: Source, frames: int) -> SourceIndex:
    if frames == 0:
        raise BadInputError(source.path, "it has no frames")
    codec = str(getattr(source, "codec", ""))
    size = (source.height, source.width, source.channels)
    notes = tuple(source.remarks())
    return SourceIndex(source.kind, codec, *size, source.fps, frames, source.sequences, notes, NONE, NONE, NONE)


def _scan_video(video: Video) -> SourceIndex:
    seen = _Seen(video)
    with video.open() as container:
        frame = None
        for frame in video.decoded(container, video.stream(container)):
            seen.add(frame)
    video.check_end(len(seen.pts), frame)
    video.uneven = is_uneven(seen.pts)
    index = replace(_facts(video, len(seen.pts)), cuts=seen.finder.cuts())
    stamps = [p for p in seen.pts if p is not None]
    if len(stamps) < len(seen.pts) or any(a >= b for a, b in itertools.pairwise(stamps)):
        return index
    pts = np.array(stamps, np.int64)
    return replace(index, pts=pts, keys=true_keys(video, pts, seen.marks))


class _Seen:
    """Facts of a video's frames, gathered while all of it is decoded."""

    def __init__(self, video: Video) -> None:
        self.video, self.finder = video, CutFinder()
        self.pts: list[int | None] = []
        self.marks: dict[int, dict[int, int]] = {}  # for each key frame the checksums of the frames from it on
        self._key = -KEY_DISTANCE
        self._size = (0, 0)
        self._small = _Small()

    def add(self, frame: Any) -> None:
        """Take the next frame; BadInputError if its size is not the first frame's."""
        number = len(self.pts)
        self.video.check_count(number)
        self.pts.append(frame.pts)
        if frame.key_frame and number - self._key >= KEY_DISTANCE:
            self._key = number
            self.marks[number] = {}
        marked = number - self._key < CHECKED
        if marked or (frame.width, frame.height) != self._size:
            image = self.video.image(frame, number)  # raises if the size changes
            self._size = (frame.width, frame.height)
            if marked:
                self.marks[self._key][number] = checksum(image)
        self.finder.add(self._small(frame))


class _Small:
    """Thumbnails of decoded frames, through one scaler."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> Image:
        small = self._reformatter.reformat(frame, width=SIDE, height=SIDE, format="rgb24", interpolation="AREA")
        return np.asarray(small.to_ndarray(), np.uint8)
