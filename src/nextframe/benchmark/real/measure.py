"""One model on one clip: every metric of every predicted frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.benchmark.real.clips import SEED, TASK, RealClip
from nextframe.core.clip import as_float
from nextframe.core.color import redmean_squared
from nextframe.core.seeds.seeding import torch_generator
from nextframe.metrics import METRICS, Metric
from nextframe.metrics.pixel import decibels
from nextframe.models.contract import Predictor

CAP = 60.0  # dB: one frame that is predicted to the last digit must not decide a mean
MOVED = 0.03  # of [0, 1]: the mean difference over channels of a pixel that moved
MAIN = "psnr"
Values = NDArray[np.float64]


@dataclass(frozen=True)
class About:
    """What a metric of this benchmark is, for its record."""

    definition: str
    unit: str
    better: str


def definitions() -> dict[str, About]:
    """Return what is measured, by name."""
    of = {name: METRICS.get(name) for name in ("psnr", "ssim", "mae", "perceptual-distance", "msssim")}
    moved = f"over the pixels that differ by more than {MOVED:g} (mean over channels) from the last context frame"
    found = {
        "psnr": _about(of["psnr"], f"10 log10(1 / mse) of each frame, peak 1, at most {CAP:g} dB"),
        "ssim": _about(of["ssim"]),
        "l1": _about(of["mae"]),
        "perceptual-distance": _about(of["perceptual-distance"]),
        "psnr-moved": _about(of["psnr"], f"10 log10(1 / mse), at most {CAP:g} dB, {moved}"),
        "l1-moved": _about(of["mae"], f"absolute difference, mean {moved}"),
        "perceptual-distance-moved": _about(of["perceptual-distance"], f"redmean distance, mean {moved}"),
    }
    return found | {"msssim": _about(of["msssim"], f"{of['msssim'].definition}; shortest side at 256, a second pass")}


def _about(metric: Metric, definition: str | None = None) -> About:
    return About(definition or metric.definition, metric.unit, metric.better)


def measure_clip(model: Predictor, clip: RealClip, device: str = "cpu") -> dict[str, Values]:
    """Return each metric of each predicted frame, (5,); NaN where no pixel moved.

    The clip is predicted twice, at 256 pixels on its longest side and, for MS-SSIM, on its shortest.

    Raises:
        UserError: the model does not take such frames.
    """
    prediction, target, last = _predict(model, clip, clip.frames, device)
    values = whole(prediction, target) | moved(prediction, target, last)
    prediction, target, _ = _predict(model, clip, clip.large, device)
    values["msssim"] = METRICS.get("msssim")(prediction, target)
    return {name: value[0].double().cpu().numpy() for name, value in values.items()}


def whole(prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Return the metrics over all pixels, (B, T) each, of two (B, T, C, H, W) in [0, 1]."""
    of = {name: METRICS.get(name)(prediction, target) for name in ("psnr", "ssim", "mae", "perceptual-distance")}
    of["psnr"] = of["psnr"].clamp_max(CAP)
    return {"l1" if name == "mae" else name: value for name, value in of.items()}


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
def _predict(model: Predictor, clip: RealClip, frames: Tensor, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """Return prediction and target, (1, 5, C, H, W), and the last context frame, (1, 1, C, H, W)."""
    parts = TASK.split(as_float(frames[None]).to(device))
    generator = torch_generator(SEED, clip.file, clip.start, device=device)
    prediction = model.predict(parts.context, TASK.horizon, generator=generator).float()
    return prediction, parts.target, parts.context[:, -1:]
