"""Images while a model trains: context, truth and prediction of the first validation clips."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np
import torch

from nextframe.data import ClipSet
from nextframe.media.writer import write_video
from nextframe.models.contract import Predictor
from nextframe.prediction.shown.panels import SHOWABLE, comparison_animation, comparison_strip


def save_samples(
    model: Predictor,
    clips: ClipSet,
    folder: Path,
    step: int,
    device: torch.device | str,
    most: int = 2,
    endings: Collection[str] = (),
) -> list[Path]:
    """Write samples/step-N.png with rows context | truth | prediction of `most` clips; return what was written.

    With ".gif" in `endings` also step-N.gif, in which truth and prediction move side by side. Nothing is written if the
    validation split is empty, or its frames are not images (percepts).
    """
    count = clips.count("val")
    shown = most if count is None else min(most, count)
    if not shown or clips.frame_shape[0] > SHOWABLE:
        return []
    clip = clips.on_device("val", clips.read("val", np.arange(shown, dtype=np.int64)), device)
    future = model.predict(clip.context, clip.horizon, conditions=model.wanted(clip.conditions)).float()
    rows = [(clip.context[i].cpu(), clip.target[i].cpu(), future[i].cpu()) for i in range(shown)]
    strips = torch.cat([comparison_strip(*row) for row in rows], dim=1)  # (C, rows * H, W)
    place = folder / "samples" / f"step-{step:07d}"
    written = [write_video(place.with_suffix(".png"), strips.unsqueeze(0), fps=1.0)]
    if ".gif" in endings:
        moving = torch.cat([comparison_animation(*row) for row in rows], dim=2)  # (T, C, rows * H, W)
        written.append(write_video(place.with_suffix(".gif"), moving, clips.fps / 2))  # slow enough to follow
    return written
