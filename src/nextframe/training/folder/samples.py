"""Images while a model trains: context, truth and prediction of the first validation clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nextframe.data import ClipSet
from nextframe.media.writer import write_video
from nextframe.models.contract import Predictor
from nextframe.prediction.panels import SHOWABLE, comparison_strip


def save_samples(
    model: Predictor, clips: ClipSet, folder: Path, step: int, device: torch.device | str, most: int = 2
) -> Tensor | None:
    """Write samples/step-N.png with rows context | truth | prediction of `most` clips; return it as (C, H, W) uint8.

    None if the validation split is empty, or its frames are not images (percepts).
    """
    count = clips.count("val")
    shown = most if count is None else min(most, count)
    if not shown or clips.frame_shape[0] > SHOWABLE:
        return None
    clip = clips.on_device("val", clips.read("val", np.arange(shown, dtype=np.int64)), device)
    future = model.predict(clip.context, clip.horizon, conditions=model.wanted(clip.conditions)).float()
    strips = [comparison_strip(clip.context[i].cpu(), clip.target[i].cpu(), future[i].cpu()) for i in range(shown)]
    image = torch.cat(strips, dim=1)  # (C, rows * H, W)
    write_video(folder / "samples" / f"step-{step:07d}.png", image.unsqueeze(0), fps=1.0)
    return image
