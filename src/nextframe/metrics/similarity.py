"""Structural similarity (Wang et al. 2004), with the usual window and data range, and as in OpenSTL's tables."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from nextframe.core.errors import UserError
from nextframe.metrics.metric import Metric
from nextframe.metrics.pixel import FRAME

Window = tuple[float, ...]

K1, K2 = 0.01, 0.03
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the five scales, finest first (Wang et al. 2003)
SMALLEST_MSSSIM = 176  # 16 times 11: after halving four times the window still fits


def gaussian_window() -> Window:
    """Return the 11 weights of a Gaussian with sigma 1.5."""
    weights = [math.exp(-(place**2) / (2 * 1.5**2)) for place in range(-5, 6)]
    return tuple(weight / sum(weights) for weight in weights)


def uniform_window() -> Window:
    """Return 7 equal weights."""
    return (1 / 7,) * 7


def ssim(prediction: Tensor, target: Tensor, window: Window, data_range: float, correction: float = 1.0) -> Tensor:
    """Return SSIM of each frame, (B, T): mean over channels and over the positions where the window fits inside.

    Args:
        prediction: (B, T, C, H, W). A frame smaller than the window is padded by repeating its edge.
        target: the same shape.
        window: weights along one axis; the window is their product over both.
        data_range: L in the constants (K1 L)^2 and (K2 L)^2.
        correction: factor on variances and covariance: n / (n - 1) makes them those of a sample.
    """
    x, y = (_fit(frames.flatten(0, 1), len(window)) for frames in (prediction, target))  # (B * T, C, H, W)
    luminance, structure = _terms(x, y, window, data_range, correction)
    return (luminance * structure).mean(FRAME).view(prediction.shape[:2])


def _terms(x: Tensor, y: Tensor, window: Window, data_range: float, correction: float = 1.0) -> tuple[Tensor, Tensor]:
    """Return the two factors of SSIM, luminance and structure, where the window fits inside (N, C, H, W)."""
    mean_x, mean_y = _filter(x, window), _filter(y, window)
    var_x = (_filter(x * x, window) - mean_x**2) * correction
    var_y = (_filter(y * y, window) - mean_y**2) * correction
    covariance = (_filter(x * y, window) - mean_x * mean_y) * correction
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return luminance, (2 * covariance + c2) / (var_x + var_y + c2)


def _fit(frames: Tensor, window: int) -> Tensor:
    below, right = (max(0, window - side) for side in frames.shape[-2:])
    return F.pad(frames, (0, right, 0, below), mode="replicate") if below or right else frames


def _filter(frames: Tensor, window: Window) -> Tensor:
    """Filter (N, C, H, W) along both axes, without padding.

    Shifted sums: on a CPU they take a quarter of the time of a convolution with one channel.
    """
    for axis in (-2, -1):
        size = frames.shape[axis] - len(window) + 1
        total = frames.narrow(axis, 0, size) * window[0]
        for shift, weight in enumerate(window[1:], start=1):
            total = total.add_(frames.narrow(axis, shift, size), alpha=weight)
        frames = total
    return frames


def ssim_standard(prediction: Tensor, target: Tensor) -> Tensor:
    """Return SSIM as usually defined: Gaussian 11x11 window, sigma 1.5, data range 1."""
    return ssim(prediction, target, gaussian_window(), data_range=1.0)


def ssim_openstl(prediction: Tensor, target: Tensor) -> Tensor:
    """Return SSIM as in OpenSTL's tables: clipped frames, uniform 7x7 window, sample covariance, data range 2.

    Old scikit-image took 2 as the range of any float image, so frames in [0, 1] score too high.
    """
    return ssim(prediction.clamp(0, 1), target.clamp(0, 1), uniform_window(), 2.0, correction=49 / 48)


def msssim(prediction: Tensor, target: Tensor) -> Tensor:
    """Return multi-scale SSIM (Wang et al. 2003) of each frame: five scales, Gaussian 11x11 window, data range 1.

    That of each channel, then their mean, with means over positions where the window fits inside: as TensorFlow and
    pytorch_msssim have it, with which papers on video prediction measure. An odd side repeats its edge before it is
    halved, as in TensorFlow.

    Raises:
        UserError: a side under 176 pixels: halved four times, it would be smaller than the window.
    """
    height, width = prediction.shape[-2:]
    if min(height, width) < SMALLEST_MSSSIM:
        raise UserError(f"msssim needs frames of at least {SMALLEST_MSSSIM} pixels a side, not {height}x{width}")
    x, y = prediction.flatten(0, 1), target.flatten(0, 1)  # (B * T, C, H, W)
    value = x.new_ones(x.shape[:2])
    for scale, weight in enumerate(SCALE_WEIGHTS, 1):
        luminance, structure = _terms(x, y, gaussian_window(), data_range=1.0)
        if scale == len(SCALE_WEIGHTS):
            structure = luminance * structure
        value = value * structure.mean((-2, -1)).clamp_min(0) ** weight
        x, y = _halved(x), _halved(y)
    return value.mean(1).view(prediction.shape[:2])


def _halved(frames: Tensor) -> Tensor:
    height, width = frames.shape[-2:]
    return F.avg_pool2d(F.pad(frames, (0, width % 2, 0, height % 2), mode="replicate"), 2)


SSIM = Metric(
    "ssim",
    "structural similarity, Gaussian 11x11 window (sigma 1.5), data range 1, mean over channels",
    "1",
    "higher",
    (-1, 1),
    ssim_standard,
)
SSIM_OPENSTL = Metric(
    "ssim-openstl",
    "structural similarity as in OpenSTL's tables: uniform 7x7 window, data range 2 (too high by design)",
    "1",
    "higher",
    (-1, 1),
    ssim_openstl,
)
MSSSIM = Metric(
    "msssim",
    "multi-scale structural similarity, 5 scales, Gaussian 11x11 window, data range 1, mean over channels; "
    "sides of at least 176",
    "1",
    "higher",
    (0, 1),
    msssim,
)
