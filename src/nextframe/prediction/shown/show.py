"""Frames to look at: an animation in a notebook, a strip where only a still image fits."""

from __future__ import annotations

import base64
import html
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.clip import as_uint8
from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import check_apart, whole_file
from nextframe.media.fit import scaled_frame, scaled_size
from nextframe.media.memory import as_frames
from nextframe.media.reader import open_source, read_video
from nextframe.media.writer import write_video
from nextframe.prediction.shown.panels import GAP, PREDICTED, Row, enlarge, panel_size, strip, to_rgb

PAUSE = 2  # predictions play at half speed in a notebook: one second is hard to follow
MOST_VIDEOS = 4  # most videos of a batch shown
# What a notebook keeps of an animation, in its file: a GIF has at most 1.5 bytes of a pixel, usually half a byte.
MOST_FRAMES, MOST_PIXELS = 120, 5_000_000  # the latter in all frames together
FASTEST = 50.0  # frames a second of a GIF


class Shown:
    """Frames as a notebook shows them: an animation; `save` writes them, `strip` is a still image.

    The notebook holds at most 120 frames and 5 million pixels in all: of more frames every second or third, and so on,
    is shown as long, larger ones are made smaller, and the line below says so. `save` writes all as they are.
    Nothing is opened or printed, so it does no harm in a script.
    """

    def __init__(self, frames: Tensor, still: Tensor, fps: float, caption: str = "") -> None:
        self.frames = frames  # uint8 (T, 3, H, W)
        self.strip = still  # uint8 (3, H', W')
        self.fps, self.caption = fps, caption

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write to `path`: the animation as .gif, .mp4 or .npy, the strip as .png.

        Raises:
            UserError: another ending, or a file that cannot be written.
        """
        still = Path(path).suffix.lower() == ".png"
        return write_video(path, self.strip.unsqueeze(0) if still else self.frames, self.fps)

    def __repr__(self) -> str:
        count, _, height, width = self.frames.shape
        name = f"{self.caption}: " if self.caption else ""
        return f"<{name}{count} frames of {height}x{width}; .save('frames.gif') writes them>"

    def _repr_html_(self) -> str:
        every, factor = bounded(len(self.frames), self.frames.shape[-2:], self.fps)
        size = scaled_size((self.frames.shape[-2], self.frames.shape[-1]), factor)
        data = base64.b64encode(_written(enlarge(self.frames[::every], size), ".gif", self.fps / every)).decode("ascii")
        fewer = f"one frame in {every} is shown" if every > 1 else ""
        smaller = f"made smaller, {size[0]}x{size[1]}" if factor < 1 else ""
        text = html.escape("; ".join(filter(None, [self.caption, fewer, smaller])), quote=True)
        below = f"<figcaption>{text}</figcaption>" if text else ""
        return f'<figure><img alt="{text}" src="data:image/gif;base64,{data}">{below}</figure>'

    def _repr_png_(self) -> bytes:
        return _written(self.strip.unsqueeze(0), ".png", self.fps)


class OnDisk:
    """A file that a notebook shows: `os.fspath(it)` and `str(it)` are its path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<{self.path}>"


class VideoFile(OnDisk):
    """A video on disk, which a notebook plays."""

    def _repr_html_(self) -> str:
        return self.show()._repr_html_()

    def show(self) -> Shown:
        """Return the video as a notebook plays it, read at no more frames and pixels than that shows."""
        source = open_source(self.path)
        every, factor = bounded(source.counted(), (source.height, source.width), source.fps)
        source = open_source(self.path, stride=every)
        frames = to_rgb(torch.stack([scaled_frame(frame, factor) for frame in source.frames()]))
        return Shown(frames, strip([Row("", frames, PREDICTED, 1)]), source.fps, self.path.name)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the whole video to `path`: a copy, or in the format of another ending, .gif, .mp4, .png or .npy.

        Raises:
            UserError: another ending, or a file that cannot be written.
        """
        path = Path(path)
        check_apart(path, self.path)
        if path.suffix.lower() != self.path.suffix.lower():
            source = open_source(self.path)
            return write_video(path, source.frames(), source.fps, sound_of=self.path)
        with whole_file(path) as temporary:
            shutil.copyfile(self.path, temporary)
        return path


class Page(OnDisk):
    """A page on disk, which a notebook shows inline, `height` pixels high."""

    def __init__(self, path: Path, height: int = 600) -> None:
        super().__init__(path)
        self.height = height

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(encoding="utf-8"), quote=True)
        style = f"width:100%;height:{self.height}px;border:0"
        return f'<iframe srcdoc="{page}" style="{style}" sandbox="allow-scripts"></iframe>'


def show(
    frames: Tensor | NDArray[Any] | str | os.PathLike[str], *, fps: float | None = None, layout: str | None = None
) -> Shown:
    """Return frames as something that a notebook plays and a script can save.

    Args:
        frames: a tensor (T, C, H, W) or (B, T, C, H, W), an array (see `as_frames`), or the path of a video.
        fps: frames per second; None: the video's own, 10 for frames in memory.
        layout: the axes of frames in memory, such as "TCHW"; None: told by the shape.

    Raises:
        UserError: frames without 1 or 3 channels, or floats out of [0, 1].
        BadInputError: a video that cannot be read.
    """
    if isinstance(frames, str | os.PathLike):
        video, own = read_video(frames)
        return shown({Path(frames).name: video}, fps or own)
    given = as_frames(frames, layout)
    videos = given.unsqueeze(0) if given.ndim == 4 else given
    return shown({f"{number}": video for number, video in enumerate(videos[:MOST_VIDEOS])}, fps or 10.0)


def shown(videos: Mapping[str, Tensor], fps: float, caption: str = "") -> Shown:
    """Return videos (T, C, H, W) of one size, by name, beside one another and as the rows of a strip.

    Raises:
        UserError: there is no frame.
    """
    if not videos or not all(len(video) for video in videos.values()):
        raise UserError("there are no frames to show")
    size = panel_size(next(iter(videos.values())), low=128, high=480)
    panels = [as_uint8(enlarge(video, size)) for video in videos.values()]
    rows = [Row(name if len(videos) > 1 else "", video, PREDICTED, 1) for name, video in videos.items()]
    return Shown(_side_by_side(panels), strip(rows), fps, caption)


def bounded(count: int, size: Sequence[int], fps: float) -> tuple[int, float]:
    """Return which share of frames a notebook is given, one in so many, and how much smaller they are, at most 1.

    Args:
        count: of the frames.
        size: (height, width).
        fps: frames per second; a GIF has at most 50.
    """
    every = max(1, math.ceil(count / MOST_FRAMES), math.ceil(fps / FASTEST))
    pixels = math.ceil(count / every) * size[0] * size[1]
    return every, min(1.0, math.sqrt(MOST_PIXELS / pixels))


def _side_by_side(panels: list[Tensor]) -> Tensor:
    """Join videos (T, 3, H, W) of one length and size with a gap between them."""
    gap = torch.zeros(*panels[0].shape[:3], GAP, dtype=torch.uint8)
    joined = [panels[0]]
    for panel in panels[1:]:
        joined += [gap, panel]
    return torch.cat(joined, dim=3)


def _written(frames: Tensor, ending: str, fps: float) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return write_video(Path(folder) / f"frames{ending}", frames, fps).read_bytes()
