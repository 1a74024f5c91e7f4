"""The evaluation script of Mathieu, Couprie & LeCun (ICLR 2016), for comparison with the paper's tables only.

It scales frames from [-1, 1] to a range of 256 levels (a factor of 128) but divides by a peak of 255, and its
sharpness adds the differences of both gradients, instead of the difference of their sum. The paper's masks come from
optical flow; `-moving` masks by change. The script skips clips of 50 dB and more; they count here.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.errors import UserError
from nextframe.metrics.metric import Metric
from nextframe.metrics.pixel import FRAME
from nextframe.metrics.sharpness import gradient_difference
from nextframe.metrics.similarity import gaussian_window, ssim

LEVELS, PEAK, FLOOR = 256.0, 255.0, 1e-4  # 256: 128 times the width of [-1, 1]
MOST = 88.1309  # 10 log10(255^2 / 1e-4)
LUMINANCE = (0.299, 0.587, 0.114)


def psnr_mathieu(prediction: Tensor, target: Tensor) -> Tensor:
    """Return 10 log10(255^2 / (256^2 mse)), the error at least 1e-4: 0.03 dB lower than `psnr`."""
    error = ((prediction - target) * LEVELS).square().mean(FRAME)
    return 10 * torch.log10(PEAK**2 / error.clamp_min(FLOOR))


def sharpness_mathieu(prediction: Tensor, target: Tensor) -> Tensor:
    """Return 10 log10(255^2 / (128^2 g)), g the `gradient-difference` of frames in [-1, 1] over all pixels."""
    count = prediction.shape[-2] * prediction.shape[-1]
    inside = (prediction.shape[-2] - 1) * (prediction.shape[-1] - 1)
    error = gradient_difference(prediction, target) * 2 * (LEVELS / 2) ** 2 * inside / count
    return 10 * torch.log10(PEAK**2 / error.clamp_min(FLOOR))


def ssim_mathieu(prediction: Tensor, target: Tensor) -> Tensor:
    """Return SSIM of the luminance, its window also over the zeros around the frame (a "full" convolution)."""
    pad = len(gaussian_window()) - 1
    grey = [F.pad(_luminance(frames), (pad, pad, pad, pad)) for frames in (prediction, target)]
    return ssim(grey[0], grey[1], gaussian_window(), data_range=1.0)


def _luminance(frames: Tensor) -> Tensor:
    channels = frames.shape[2]
    if channels == 1:
        return frames
    if channels != 3:
        raise UserError(f"ssim-mathieu needs grey or RGB frames, not {channels} channels")
    weights = torch.tensor(LUMINANCE, dtype=frames.dtype, device=frames.device).view(3, 1, 1)
    return (frames * weights).sum(2, keepdim=True)


PSNR_MATHIEU = Metric(
    "psnr-mathieu",
    "as the authors' script: 10 log10(255^2 / mse) of frames in [-1, 1] times 128, mse at least 1e-4",
    "dB",
    "higher",
    (-0.034, MOST),
    psnr_mathieu,
)
SSIM_MATHIEU = Metric(
    "ssim-mathieu",
    "as the authors' script: structural similarity of the luminance, Gaussian 11x11 window, zeros around the frame",
    "1",
    "higher",
    (-1, 1),
    ssim_mathieu,
)
SHARPNESS_MATHIEU = Metric(
    "sharpness-difference-mathieu",
    "as the authors' script: 10 log10(255^2 / (128^2 g)), g = |difference of gi| + |difference of gj| in [-1, 1]",
    "dB",
    "higher",
    (-0.05, MOST),
    sharpness_mathieu,
)
