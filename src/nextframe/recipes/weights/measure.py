"""Validation of weights on clips of real video that nothing is trained on, and that no test measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import Task, as_float
from nextframe.media.fit import scaled_frame
from nextframe.metrics.pixel import CAP, mae, psnr
from nextframe.models.contract import Predictor

SIDE = 256  # pixels: the longest side of a clip, as real-next measures it
CLIPS = 6  # of a video, evenly spaced
TWOS = ((0, 0, 1, 1, 2, 2, 3, 3), (0, 1, 1, 2, 2, 3, 3, 4))  # frames shown twice, from either one
DEFINITION = (
    f"PSNR and L1 of each predicted frame (peak 1, PSNR at most {CAP:g} dB), means within a video, then over videos; "
    f"longest side {SIDE}; held: the same videos with each frame shown twice"
)


@dataclass(frozen=True)
class Clips:
    """Clips of one video: (N, T, 3, H, W) uint8, and two more in which each frame is shown twice."""

    source: str
    frames: Tensor
    held: Tensor


@dataclass(frozen=True)
class Score:
    """What weights reach: the mean PSNR decides; per step PSNR and L1, also of held frames, and each video's PSNR."""

    mean: float
    psnr: list[float]
    l1: list[float]
    held_psnr: list[float]
    sources: dict[str, float]

    def plain(self) -> dict[str, Any]:
        """Return the figures as they are stored, rounded to what they are shown with or finer."""
        rounded: dict[str, Any] = _rounded(asdict(self))
        return rounded


def cut(source: str, video: Tensor, task: Task, count: int = CLIPS) -> Clips:
    """Return `count` evenly spaced clips of a video (T, 3, H, W) uint8, scaled to `SIDE` on its longest side."""
    factor = min(1.0, SIDE / max(video.shape[-2:]))
    starts = np.linspace(0, len(video) - task.length, min(count, len(video) - task.length + 1)).astype(int)
    frames = torch.stack([_scaled(video[start : start + task.length], factor) for start in starts])
    twos = [list(shown[: task.length]) for shown in TWOS]
    held = torch.stack([frames[-1][twos[0]], frames[0][twos[1]]])
    return Clips(source, frames, held)


def _scaled(frames: Tensor, factor: float) -> Tensor:
    return torch.stack([scaled_frame(frame, factor) for frame in frames])


def measure(model: Predictor, clips: Sequence[Clips], task: Task, device: str) -> Score:
    """Return what `model`, on `device` and in eval mode, reaches on the clips of each video."""
    found = [_steps(model, one.frames, task, device) for one in clips]  # (2, horizon) each
    means, held = (np.mean(part, 0) for part in (found, [_steps(model, one.held, task, device) for one in clips]))
    sources = {one.source: float(steps[0].mean()) for one, steps in zip(clips, found, strict=True)}
    return Score(float(means[0].mean()), means[0].tolist(), means[1].tolist(), held[0].tolist(), sources)


@torch.no_grad()
def _steps(model: Predictor, frames: Tensor, task: Task, device: str) -> np.ndarray[Any, Any]:
    """Return PSNR and L1 of each step, (2, horizon), means over the clips of a video."""
    clip = task.split(as_float(frames.to(device)))
    prediction = model.predict(clip.context, task.horizon).float()
    values = torch.stack([psnr(prediction, clip.target).clamp_max(CAP), mae(prediction, clip.target)])
    return values.mean(1).cpu().double().numpy()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else round(value, 5)
