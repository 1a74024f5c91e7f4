"""Sound that is copied from one file to another, as it is stored."""

from __future__ import annotations

import logging
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import av

from nextframe.media.video.decode import OPTIONS, PYAV_ERRORS

LOG = logging.getLogger(__name__)


def has_sound(path: Path) -> bool:
    """Return whether the file at `path` has a sound track; False for a folder or what FFmpeg cannot open."""
    if not path.is_file():
        return False
    try:
        with av.open(f"file:{path.absolute()}", options=OPTIONS) as container:
            return bool(container.streams.audio)
    except PYAV_ERRORS:
        return False


def copy_sound(source: Path, video: Path) -> None:
    """Put the first sound track of `source` into the mp4 `video`, packet by packet; say so if an mp4 cannot hold it.

    It starts as much before or after the frames as it does in `source`.
    """
    joined = video.with_name(f"{video.stem}.sound{video.suffix}")
    try:
        _join(source, video, joined)
        os.replace(joined, video)
    except PYAV_ERRORS as error:
        LOG.warning("%s: its sound is not in the output: an mp4 does not take it (%s)", source.name, error)
    finally:
        joined.unlink(missing_ok=True)


def _join(source: Path, video: Path, joined: Path) -> None:
    with ExitStack() as stack:
        frames = stack.enter_context(av.open(str(video)))
        heard = stack.enter_context(av.open(f"file:{source.absolute()}", options=OPTIONS))
        output: Any = stack.enter_context(av.open(str(joined), "w", format="mp4", options={"movflags": "+faststart"}))
        track, sound = frames.streams.video[0], heard.streams.audio[0]
        tracks = {0: output.add_stream_from_template(track), 1: output.add_stream_from_template(sound)}
        shown = next(iter(heard.streams.video), None)
        start = float((shown.start_time or 0) * shown.time_base) if shown is not None and shown.time_base else 0.0
        shift = round(start / float(sound.time_base or 1))
        for number, packet in _in_turn(frames.demux(track), heard.demux(sound), shift):
            packet.stream = tracks[number]
            output.mux(packet)


def _in_turn(frames: Any, sound: Any, shift: int) -> Any:
    """Yield (0 or 1, packet) of the frames and the sound by their times, the sound's less `shift`."""
    waiting: list[Any] = [next(frames, None), next(sound, None)]
    feeds = (frames, sound)
    while any(packet is not None for packet in waiting):
        times = [_seconds(packet) for packet in waiting]
        number = times.index(min(times))
        packet, waiting[number] = waiting[number], next(feeds[number], None)
        if packet.dts is None:  # the last one, which is empty
            continue
        if number == 1:
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        yield number, packet


def _seconds(packet: Any) -> float:
    if packet is None:
        return float("inf")
    return -float("inf") if packet.dts is None else float(packet.dts * packet.time_base)
