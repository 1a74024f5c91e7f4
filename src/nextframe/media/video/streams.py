"""Which of a file's video streams is read, and how its frames are turned."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import av
import numpy as np

from nextframe.core.errors import BadInputError
from nextframe.media.reading import OPTION


def video_streams(container: Any) -> list[Any]:
    """Return the video streams of an open container that are not cover images."""
    covers = av.stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & covers]


def chosen_stream(path: Path, videos: list[Any], number: int | None) -> Any:
    """Return stream `number`, or else the default one, of several the largest, as FFmpeg does.

    Raises:
        BadInputError: there is no such stream.
    """
    if number is not None and number >= len(videos):
        raise BadInputError(path, f"it has no video stream {number}", f"choose one of 0 to {len(videos) - 1}")
    return max(videos, key=_rank) if number is None else videos[number]


def which_stream(videos: list[Any], stream: Any, asked: int | None) -> list[str]:
    """Return a note that says which of several streams is read, and what chooses another; none of one stream."""
    if len(videos) < 2:
        return []
    sizes = ", ".join(f"{number}: {_size(video)}" for number, video in enumerate(videos))
    number = next(number for number, video in enumerate(videos) if video.index == stream.index)
    choice = f"video stream {number} is read, {'the default one' if asked is None else 'as asked'}"
    return [f"{choice}, of {sizes} (other: {OPTION}.stream={int(number == 0)})"]


def _rank(stream: Any) -> tuple[bool, int]:
    context = stream.codec_context
    if context is None:  # without a decoder it cannot be read
        return False, -1
    return bool(stream.disposition & av.stream.Disposition.default), (context.height or 0) * (context.width or 0)


def _size(stream: Any) -> str:
    context = stream.codec_context
    return f"{context.height}x{context.width}" if context is not None else "unknown"


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """Return a, b, c, d of a PyAV frame's display matrix in 16.16; the identity if it has none."""
    try:
        found = [bytes(d) for d in frame.side_data if d.type.name == "DISPLAYMATRIX"]
    except ValueError:  # side data of a kind unknown to PyAV (EXIF): only the angle is available
        turn = math.radians(frame.rotation)
        cosine, sine = round(2**16 * math.cos(turn)), round(2**16 * math.sin(turn))
        return cosine, -sine, sine, cosine
    if not found:
        return 2**16, 0, 0, 2**16
    a, b, _, c, d = np.frombuffer(found[0], np.int32)[:5].tolist()
    return a, b, c, d
