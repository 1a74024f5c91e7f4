"""Which clips of which videos real-next measures: decided by each video's name, never by what lies beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

import torch
from torch import Tensor

from nextframe.benchmark.real.motion import class_of_motion
from nextframe.benchmark.real.task import Clips, RealConfig, VideoClip
from nextframe.core.clip import Task
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.folder.contents import reason
from nextframe.data.folder.listing import Found, list_all, paths_of
from nextframe.media.fit import scaled_frame
from nextframe.media.reader import open_source

NAME = "real-next"  # seeds the draw of the clips
SEED = 0
FIRST_FRAMES = 240  # of a video; clips are taken from these
STARTS = 3  # of a file, at most
SIDE = 256  # pixels: the longest side of the clips, the shortest of the second pass
JUMP = 0.25  # mean difference of two neighbouring frames: a cut
STILL = 0.001  # mean difference of the target frames and the last context frame: nothing to predict
ENCODED = re.compile(r"[-_. ](audioless|noaudio|silent|muted|h26[45]|hevc|vp[89]|av1|\d{3,4}p|pristine|distorted)$")
FACTS = {
    "longest_side": SIDE,
    "msssim_shortest_side": SIDE,
    "first_frames": FIRST_FRAMES,
    "clips_per_file": STARTS,
    "cut": JUMP,
    "near_still": STILL,
}


def choose(data: str, task: Task, config: RealConfig) -> Clips:
    """Return the clips at `data`, a path or several separated by commas: videos, animations, folders of images.

    Raises:
        BadInputError: a path that is missing.
        UserError: nothing is left to measure.
    """
    for path in paths_of(data):
        if not path.exists():
            raise BadInputError(path, "no such file or folder")
    excluded: list[str] = []
    files: dict[str, list[Found]] = {}
    for found in list_all(paths_of(data)).found:
        if any(text in found.name for text in config.exclude):
            excluded.append(found.name)
        else:
            files.setdefault(source_name(found, config), []).append(found)
    if not files:
        raise UserError(f"{data}: no source is left to measure; real.exclude skips {len(excluded)}")
    clips = Clips({}, excluded)
    clips.sources |= {name: partial(_cut_all, name, each, task, clips.skipped) for name, each in files.items()}
    return clips


def _cut_all(source: str, files: list[Found], task: Task, skipped: dict[str, str]) -> Iterator[VideoClip]:
    for found in files:
        yield from cut(source, found, task, skipped)


def source_name(found: Found, config: RealConfig) -> str:
    """Return the name of a file's source: that of a file without its ending and without words of how it was encoded.

    So several encodings of one video in one folder are one source. A folder of images keeps its name, and so does a
    file that `config.apart` names.
    """
    if found.path.is_dir() or any(text in found.name for text in config.apart):
        return found.name
    path = PurePosixPath(found.name)
    stem = path.stem
    while (shorter := ENCODED.sub("", stem.lower())) != stem.lower():
        stem = stem[: len(shorter)]
    return path.with_name(stem).as_posix()


def cut(source: str, found: Found, task: Task, skipped: dict[str, str]) -> Iterator[VideoClip]:
    """Yield the clips of one file; if it has none or is damaged, the reason is added to `skipped`."""
    try:
        starts = _starts(found, task.length)
        read = zip(starts, _read(found, starts, task.length), strict=True)
        clips = [_clip(source, found, task, start, pair) for start, pair in read]
    except BadInputError as error:
        skipped[found.name] = reason(error, found.path)
        return
    kept = [clip for clip in clips if clip is not None]
    if not kept:
        skipped[found.name] = "every clip crosses a cut" if starts else f"fewer than {task.length} frames"
    yield from kept


def _starts(found: Found, length: int) -> list[int]:
    """Return where the clips of a file start, ascending: drawn by the file's own name and that of its folder."""
    source = open_source(found.path, color="rgb")
    frames = source.native_count or sum(1 for _ in source.frames(0, FIRST_FRAMES))
    places = min(frames, FIRST_FRAMES) - length + 1
    if places < 1:
        return []
    path = found.path.absolute()
    generator = numpy_generator(SEED, NAME, path.parent.name, path.name)
    drawn = generator.choice(places, size=min(STARTS, places), replace=False)
    return sorted(int(start) for start in drawn)


def _read(found: Found, starts: list[int], length: int) -> list[tuple[Tensor, Tensor]]:
    """Return the frames of each clip at both sizes, (T, 3, H, W) uint8 each; the file is decoded once."""
    wanted = {start + offset for start in starts for offset in range(length)}
    kept: dict[int, tuple[Tensor, Tensor]] = {}
    frames = open_source(found.path, color="rgb").frames(0, max(wanted, default=-1) + 1)
    for number, frame in enumerate(frames):
        if number in wanted:
            sides = frame.shape[-2:]
            kept[number] = scaled_frame(frame, min(1.0, SIDE / max(sides))), scaled_frame(frame, SIDE / min(sides))
    spans = [[kept[start + offset] for offset in range(length)] for start in starts]
    return [(torch.stack([small for small, _ in span]), torch.stack([large for _, large in span])) for span in spans]


def _clip(source: str, found: Found, task: Task, start: int, pair: tuple[Tensor, Tensor]) -> VideoClip | None:
    """Return the clip of these frames; None if it crosses a cut."""
    frames, large = pair
    jump, change = changes(frames, task.context)
    if jump > JUMP:
        return None
    motion = class_of_motion(frames[task.context - 1], frames[task.context])
    return VideoClip(source, found.name, start, frames, large, motion, change < STILL)


def changes(frames: Tensor, given: int) -> tuple[float, float]:
    """Return the largest mean difference of neighbouring frames, and that of the target and the last context frame.

    Args:
        frames: (T, C, H, W), uint8; the differences are in units of [0, 1].
        given: how many of them are context frames.
    """
    values = frames.float() / 255
    jump = (values[1:] - values[:-1]).abs().mean((1, 2, 3)).max()
    change = (values[given:] - values[given - 1]).abs().mean()
    return float(jump), float(change)
