"""What a full decode of a source found, cached on disk: frames, time stamps, verified seek points, cuts.

An index is made once for each file, by decoding all of it, and again if the file's size or time changes.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError
from nextframe.core.files.cache import cache_folder
from nextframe.media.images import image_files
from nextframe.media.reader import open_source
from nextframe.media.source import Color, Image, Source
from nextframe.media.video.cursor import VideoCursor
from nextframe.media.video.cuts import SIDE, CutFinder, thumbnail
from nextframe.media.video.decode import Video
from nextframe.media.video.promise import CUT_SHORT

LOG = logging.getLogger(__name__)
VERSION = 4  # of the index files; those of another version are made again
KEY_DISTANCE = 24  # least frames between seek points: closer ones save little and cost a check each
CHECKED = 8  # frames that are compared at each seek point
UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error)
Ints = NDArray[np.int64]
NONE: Ints = np.zeros(0, np.int64)


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


def index_source(path: Path, color: Color | None = None, *, fresh: bool = False) -> SourceIndex:
    """Return the index of the source at `path`, from the cache if it is still valid.

    Args:
        path: a file or a frame folder.
        color: as for `open_source`; it decides whether a folder that mixes grey and colour can be read.
        fresh: decode again even if there is a valid index.

    Raises:
        BadInputError: the source cannot be read to its end; this too is cached and not tried twice.
    """
    path = path.absolute()
    try:
        stamp = _stamp(path)
    except OSError as error:
        raise BadInputError(path, f"cannot be read ({error.strerror})") from None
    key = f"{path}|{color if path.is_dir() else None}"
    kept = cache_folder() / "index" / f"{hashlib.sha256(os.fsencode(key)).hexdigest()[:32]}.npz"
    index = None if fresh else _load(kept, stamp)
    if index is None:
        index = _scan_or_error(path, color)
        _save(kept, stamp, index)
    if isinstance(index, BadInputError):
        raise index
    return index


def _stamp(path: Path) -> str:
    """Return a stamp that changes when the file or any image of the folder does."""
    files = image_files(path) if path.is_dir() else [path]
    states = [(f.name, s.st_size, s.st_mtime_ns) for f in files for s in (f.stat(),)]
    return f"{VERSION}|{hashlib.sha256(repr(states).encode()).hexdigest()}"


def _scan_or_error(path: Path, color: Color | None) -> SourceIndex | BadInputError:
    try:
        return scan(path, color)
    except BadInputError as error:
        return error


def scan(path: Path, color: Color | None = None) -> SourceIndex:
    """Decode the source at `path` to its end and return its index; BadInputError if that fails."""
    source = open_source(path, color=color)
    if isinstance(source, Video):
        return _scan_video(source)
    finder, frames = CutFinder(), 0
    for image in source.decode():
        frames += 1
        finder.add(thumbnail(image))
    for sequence in range(1, source.sequences):
        for _ in open_source(path, color=color, sequence=sequence).decode():
            pass
    index = _facts(source, frames)
    return index if source.sequences > 1 else replace(index, cuts=finder.cuts())


def _facts(source: Source, frames: int) -> SourceIndex:
    if frames == 0:
        raise BadInputError(source.path, "it has no frames")
    codec = str(getattr(source, "codec", ""))
    size = (source.height, source.width, source.channels)
    notes = tuple(source.notes)
    return SourceIndex(source.kind, codec, *size, source.fps, frames, source.sequences, notes, NONE, NONE, NONE)


def _scan_video(video: Video) -> SourceIndex:
    seen = _Seen(video)
    with video.open() as container:
        frame = None
        for frame in video.decoded(container, video.stream(container)):
            seen.add(frame)
    video.check_end(len(seen.pts), frame)
    index = replace(_facts(video, len(seen.pts)), cuts=seen.finder.cuts())
    stamps = [p for p in seen.pts if p is not None]
    if len(stamps) < len(seen.pts) or any(a >= b for a, b in itertools.pairwise(stamps)):
        return index
    pts = np.array(stamps, np.int64)
    return replace(index, pts=pts, keys=_true_keys(video, pts, seen.marks))


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
                self.marks[self._key][number] = _checksum(image)
        self.finder.add(self._small(frame))


class _Small:
    """Thumbnails of decoded frames, through one scaler."""

    def __init__(self) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()

    def __call__(self, frame: Any) -> Image:
        small = self._reformatter.reformat(frame, width=SIDE, height=SIDE, format="rgb24", interpolation="AREA")
        return np.asarray(small.to_ndarray(), np.uint8)


def _true_keys(video: Video, pts: Ints, marks: dict[int, dict[int, int]]) -> Ints:
    """Return the key frames from which decoding gives the same frames as decoding from the start."""
    cursor = VideoCursor(video, pts, np.array(list(marks), np.int64))
    true = [key for key, sums in marks.items() if cursor.jump(list(sums), _checksum) == sums]
    cursor.close()
    return np.array(true, np.int64)


def _checksum(image: Image) -> int:
    return zlib.crc32(image.data if image.flags.c_contiguous else image.tobytes())


def _load(kept: Path, stamp: str) -> SourceIndex | BadInputError | None:
    """Return the cached index if it has this stamp; None if there is none, or none that is readable."""
    try:
        with np.load(kept, allow_pickle=False) as stored:
            facts = json.loads(str(stored["facts"]))
            if facts.pop("stamp") != stamp:
                return None
            if "error" in facts:
                return BadInputError(*facts["error"])
            arrays = {name: stored[name].astype(np.int64) for name in ARRAYS}
        return SourceIndex(**{**facts, "notes": tuple(facts["notes"]), **arrays})
    except UNREADABLE:
        return None


def _save(kept: Path, stamp: str, index: SourceIndex | BadInputError) -> None:
    """Keep the index, whole or not at all; a cache that cannot be written costs time but does not stop the run."""
    if isinstance(index, BadInputError):
        facts: dict[str, Any] = {"error": [index.path, index.what, index.fix]}
        arrays: dict[str, Ints] = {}
    else:
        facts = {name: value for name, value in vars(index).items() if name not in ARRAYS}
        arrays = {name: getattr(index, name) for name in ARRAYS}
    temporary = kept.with_name(f".{kept.stem}.{os.getpid()}.tmp.npz")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez(temporary, facts=np.array(json.dumps({**facts, "stamp": stamp})), **arrays)  # type: ignore[arg-type]
        os.replace(temporary, kept)
    except OSError as error:
        LOG.warning("the index of a source could not be cached (%s): it is made again each time", error)
        temporary.unlink(missing_ok=True)
