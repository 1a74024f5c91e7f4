"""Clips to try the app with: two of real video, which come along, and some that this file draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

FRAMES, SIDE = 30, 128
CLIPS = Path(__file__).parent / "clips"
GREY = "moving digits"  # the example for models of grey frames
REAL = ("people-talking.mp4", "stream-of-water.mp4")  # where they come from: docs/media/SOURCES.md


def write_examples(folder: Path) -> dict[str, Path]:
    """Return the files of all examples by name, real ones first; those that are drawn are written to `folder`."""
    from nextframe.media.writer import write_video

    drawn: dict[str, Callable[[], Tensor]] = {
        "bouncing balls": bouncing_balls,
        GREY: moving_digits,
        "travelling waves": travelling_waves,
    }
    real = {Path(name).stem.replace("-", " "): CLIPS / name for name in REAL}
    written = {
        name: write_video(folder / f"{name.replace(' ', '-')}.gif", draw(), 10.0) for name, draw in drawn.items()
    }
    return real | written


def moving_digits() -> Tensor:
    """Return two handwritten digits that move, uint8 (T, 1, 64, 64)."""
    import numpy as np

    from nextframe.data import DataConfig, open_data

    clip = open_data(DataConfig(context=FRAMES // 2, horizon=FRAMES // 2)).read("val", np.array([1]))
    return clip.frames[0]


def bouncing_balls() -> Tensor:
    """Return three coloured balls between the walls, float (T, 3, H, W) in [0, 1]."""
    starts = torch.tensor([[0.2, 0.3], [0.7, 0.6], [0.45, 0.8]])
    steps = torch.tensor([[0.026, 0.019], [-0.018, 0.027], [0.022, -0.024]])
    colors = torch.tensor([[0.95, 0.45, 0.25], [0.3, 0.75, 0.95], [0.95, 0.85, 0.35]])
    rows, columns = _grid()
    frames = []
    for t in range(FRAMES):
        places = _between_walls(starts + t * steps, 0.1)
        frame = torch.stack([0.10 + 0.06 * rows, 0.11 + 0.06 * rows, 0.16 + 0.08 * rows])
        for (y, x), color in zip(places.tolist(), colors, strict=True):
            inside = ((0.1 - torch.hypot(rows - y, columns - x)) * SIDE + 0.5).clamp(0, 1)
            shaded = color.view(3, 1, 1) * (1 - 1.5 * torch.hypot(rows - y + 0.03, columns - x + 0.03))
            frame = torch.lerp(frame, shaded.clamp(0, 1), inside)
        frames.append(frame)
    return torch.stack(frames)


def travelling_waves() -> Tensor:
    """Return two waves of colour that cross, float (T, 3, H, W) in [0, 1]."""
    rows, columns = _grid()
    frames = []
    for t in range(FRAMES):
        phase = 2 * math.pi * t / FRAMES
        one = torch.sin(14 * rows + 5 * columns - 2 * phase)
        two = torch.sin(9 * columns - 6 * rows + phase)
        frames.append(0.5 + 0.22 * torch.stack([one + two, one - two, (one * two) * 1.5]))
    return torch.stack(frames).clamp(0, 1)


def _grid() -> tuple[Tensor, Tensor]:
    line = torch.linspace(0, 1, SIDE)
    return line[:, None].expand(SIDE, SIDE), line[None].expand(SIDE, SIDE)


def _between_walls(places: Tensor, radius: float) -> Tensor:
    """Fold straight paths into [radius, 1 - radius], as if they bounced off the walls."""
    span = 1 - 2 * radius
    folded = (places - radius).remainder(2 * span)
    return radius + torch.where(folded > span, 2 * span - folded, folded)
