"""One model on one clip: every metric of every predicted frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.benchmark.real.task import VideoClip
from nextframe.core.clip import Task, as_float
from nextframe.core.color import redmean_squared
from nextframe.core.errors import NotSupportedError
from nextframe.core.seeds.seeding import torch_generator
from nextframe.metrics import METRICS, Metric
from nextframe.metrics.pixel import CAP, decibels

MOVED = 0.03  # of [0, 1]: the mean difference over channels of a pixel that moved
MOVING = ("psnr-moved", "l1-moved", "perceptual-distance-moved")
LARGE = "msssim"  # measured in the second pass, if a clip has one
EXTRA = "lpips"  # needs an extra, and weights
OWN = ("psnr", "ssim", "l1", "perceptual-distance", *MOVING, LARGE)  # what real-next measures
REGISTERED = {"l1": "mae"}  # other names of registered metrics
SEED = 0
Values = NDArray[np.float64]


class Predicts(Protocol):
    """What is measured: a `Predictor`, or what predicts like one."""

    def predict(self, context: Tensor, horizon: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the frames (B, horizon, C, H, W) after context (B, T, C, H, W)."""


@dataclass(frozen=True)
class About:
    """What a metric of this benchmark is, for its record."""

    definition: str
    unit: str
    better: str


def definitions(names: Sequence[str] = OWN) -> dict[str, About]:
    """Return what each of the metrics `names` is; UserError for an unknown one."""
    moved = f"over the pixels that differ by more than {MOVED:g} (mean over channels) from the last context frame"
    own = {
        "psnr": f"10 log10(1 / mse) of each frame, peak 1, at most {CAP:g} dB",
        "psnr-moved": f"10 log10(1 / mse), at most {CAP:g} dB, {moved}",
        "l1-moved": f"absolute difference, mean {moved}",
        "perceptual-distance-moved": f"redmean distance, mean {moved}",
    }
    found = {name: registered(name.removesuffix("-moved")) for name in names}
    return {name: About(own.get(name, of.definition), of.unit, of.better) for name, of in found.items()}


def registered(name: str) -> Metric:
    """Return the registered metric that is called `name` here."""
    return METRICS.get(REGISTERED.get(name, name))


def not_measured(names: Sequence[str]) -> dict[str, str]:
    """Return the metrics among `names` that cannot be measured here, and why."""
    if EXTRA not in names:
        return {}
    frame = torch.zeros(1, 1, 3, 64, 64)
    try:
        METRICS.get(EXTRA)(frame, frame)
    except NotSupportedError as error:
        return {EXTRA: str(error)}
    return {}


def measure_clip(
    model: Predicts, clip: VideoClip, task: Task, names: Sequence[str] = OWN, device: str = "cpu"
) -> dict[str, Values]:
    """Return the metrics `names` of each predicted frame, (T,); NaN where no pixel moved.

    A clip that has large frames is predicted a second time, for MS-SSIM.

    Raises:
        UserError: the model does not take such frames.
    """
    first = [name for name in names if name != LARGE or clip.large is None]
    found = measured(*predicted(model, clip, clip.frames, task, device), first)
    second = [name for name in names if name not in first]
    if clip.large is not None and second:
        found |= measured(*predicted(model, clip, clip.large, task, device), second)
    return {name: found[name][0].cpu().double().numpy() for name in names}


def measured(prediction: Tensor, target: Tensor, last: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """Return the metrics `names`, (B, T) each, of two (B, T, C, H, W) in [0, 1]; `last` is as in `moved`."""
    pixels = moved(prediction, target, last) if set(MOVING) & set(names) else {}
    found = {name: pixels[name] if name in pixels else registered(name)(prediction, target) for name in names}
    return {name: value.clamp_max(CAP) if name == "psnr" else value for name, value in found.items()}


def moved(prediction: Tensor, target: Tensor, last: Tensor) -> dict[str, Tensor]:
    """Return the metrics over the pixels that moved, (B, T) each; NaN for a frame in which none did.

    Unlike the `-moving` metrics, means are over those pixels alone.

    Args:
        prediction: (B, T, C, H, W) in [0, 1].
        target: the same shape.
        last: (B, 1, C, H, W), the last context frame.
    """
    mask = (target - last).abs().mean(2) > MOVED  # (B, T, H, W)

    def mean(pixels: Tensor) -> Tensor:
        return (pixels * mask).sum((-2, -1)) / mask.sum((-2, -1))  # 0 / 0 is NaN

    difference = prediction - target
    return {
        "psnr-moved": decibels(mean(difference.square().mean(2))).clamp_max(CAP),
        "l1-moved": mean(difference.abs().mean(2)),
        "perceptual-distance-moved": mean(redmean_squared(prediction, target).sqrt()),
    }


@torch.no_grad()
def predicted(
    model: Predicts, clip: VideoClip, frames: Tensor, task: Task, device: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Return prediction and target, (1, T, C, H, W), and the last context frame, (1, 1, C, H, W)."""
    parts = task.split(as_float(frames[None]).to(device))
    generator = torch_generator(SEED, clip.file, clip.start, device=device)
    prediction = model.predict(parts.context, task.horizon, generator=generator).float()
    return prediction, parts.target, parts.context[:, -1:]
