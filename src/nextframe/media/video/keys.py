"""Which key frames decoding may begin at: each is tried, by a decoder that has not seen what is before it."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from itertools import islice
from typing import Any

import av
import numpy as np

from nextframe.core.errors import BadInputError
from nextframe.media.source import Image
from nextframe.media.video.cursor import VideoCursor
from nextframe.media.video.decode import PYAV_ERRORS, Video
from nextframe.media.video.kept import Ints

MOST_OPENED = 256  # key frames for which the file is opened once more
MOST_PACKETS = 256  # from a key frame on, before it counts as one that gives nothing
CARRIED = (  # what a container may say of a stream that its frames do not
    "width", "height", "pix_fmt", "codec_tag", "color_range", "color_primaries", "color_trc", "colorspace",
)  # fmt: skip
Marks = Mapping[int, Mapping[int, int]]  # for each key frame the checksums of some frames, by number


def true_keys(video: Video, pts: Ints, marks: Marks) -> Ints:
    """Return the key frames of `marks` from which decoding gives the same frames as decoding from the start.

    To open a file takes time in proportion to its length, and so does its number of key frames: they are tried in one
    open container. Those that fail there may need what only an opened file tells; of them at most 256, evenly spread,
    are tried by opening it.
    """
    true = _Trial(video, pts).passed(marks)
    failed = [key for key in marks if key not in true]
    cursor = VideoCursor(video, pts, np.array(list(marks), np.int64))
    for key in failed[:: -(-len(failed) // MOST_OPENED) or 1]:
        if cursor.jump(list(marks[key]), checksum) == marks[key]:
            true.add(key)
    cursor.close()
    return np.array(sorted(true), np.int64)


def checksum(image: Image) -> int:
    """Return the CRC-32 of a frame's pixels."""
    return zlib.crc32(image.data if image.flags.c_contiguous else image.tobytes())


class _Trial:
    """Jumps in one open container, each with a new decoder that was given the file's first frame and then emptied."""

    def __init__(self, video: Video, pts: Ints) -> None:
        self.video, self.pts = video, pts

    def passed(self, marks: Marks) -> set[int]:
        """Return the key frames that give the frames of their checksums."""
        with self.video.open() as container:
            stream = self.video.stream(container)
            try:
                self.lead = _lead(container, stream)
            except PYAV_ERRORS:
                return set()
            return {key for key, sums in marks.items() if self._found(container, stream, key, sums) == sums}

    def _found(self, container: Any, stream: Any, key: int, sums: Mapping[int, int]) -> dict[int, int]:
        """Return the checksums that decoding from `key` gives, fewer if it fails."""
        wanted, found = {int(self.pts[number]): number for number in sums}, dict[int, int]()
        try:
            decoder = self._decoder(stream)
            container.seek(int(self.pts[key]), stream=stream)
            for packet in islice(container.demux(stream), MOST_PACKETS):
                for frame in decoder.decode(packet):
                    if frame.pts in wanted and not frame.is_corrupt:
                        number = wanted[frame.pts]
                        found[number] = checksum(self.video.image(frame, number))
                if len(found) == len(sums):
                    break
        except (*PYAV_ERRORS, BadInputError):
            return {}
        return found

    def _decoder(self, stream: Any) -> Any:
        of_stream = stream.codec_context
        decoder: Any = av.CodecContext.create(of_stream.codec, "r")
        decoder.extradata = of_stream.extradata
        for name in CARRIED:
            if (value := getattr(of_stream, name)) is not None:
                setattr(decoder, name, value)
        decoder.options, decoder.thread_count = {"max_pixels": str(self.video.limits.pixels)}, 1
        for packet in self.lead:
            decoder.decode(packet)
        decoder.flush_buffers()
        return decoder


def _lead(container: Any, stream: Any) -> list[Any]:
    """Return the packets up to the one that completes the first frame."""
    lead = []
    for packet in container.demux(stream):
        lead.append(packet)
        if packet.decode():
            break
    return lead
