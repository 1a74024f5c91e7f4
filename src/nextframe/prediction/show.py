"""Frames to look at: an animation in a notebook, a strip where only a still image fits."""

from __future__ import annotations

import base64
import html
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.clip import as_uint8
from nextframe.core.errors import UserError
from nextframe.media.memory import as_frames
from nextframe.media.reader import read_video
from nextframe.media.writer import write_video
from nextframe.prediction.panels import GAP, PREDICTED, Row, enlarge, panel_size, strip

MOST_VIDEOS = 4  # most videos of a batch shown


class Shown:
    """Frames as a notebook shows them: an animation; `save` writes them, `strip` is a still image.

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
        data = base64.b64encode(_written(self.frames, ".gif", self.fps)).decode("ascii")
        text = html.escape(self.caption, quote=True)
        below = f"<figcaption>{text}</figcaption>" if text else ""
        return f'<figure><img alt="{text}" src="data:image/gif;base64,{data}">{below}</figure>'

    def _repr_png_(self) -> bytes:
        return _written(self.strip.unsqueeze(0), ".png", self.fps)


class Page:
    """A page on disk, which a notebook shows inline: `os.fspath(page)` and `str(page)` are its path."""

    def __init__(self, path: Path, height: int = 600) -> None:
        self.path, self.height = path, height

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<{self.path}>"

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
