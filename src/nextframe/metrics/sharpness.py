"""How well edges are kept: differences of neighbouring pixels, compared (Mathieu et al., ICLR 2016).

Both take the interior: pixels that have a neighbour above and one to the left.
"""

from __future__ import annotations

from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.metrics.metric import Metric
from nextframe.metrics.pixel import FRAME, MAX_PSNR, decibels


def gradients(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return |step from above| and |step from the left|, (B, T, C, H - 1, W - 1) each."""
    if min(frames.shape[-2:]) < 2:
        size = f"{frames.shape[-2]}x{frames.shape[-1]}"
        raise UserError(f"sharpness needs frames of at least 2x2 pixels, not {size}")
    return frames.diff(dim=-2).abs()[..., 1:], frames.diff(dim=-1).abs()[..., 1:, :]


def sharpness_difference(prediction: Tensor, target: Tensor) -> Tensor:
    """Return 10 log10(1 / mean |(gi + gj of target) - (gi + gj of prediction)|), at most 100 dB."""
    (down, across), (seen_down, seen_across) = gradients(target), gradients(prediction)
    gap = (down + across) - (seen_down + seen_across)
    return decibels(gap.abs().mean(FRAME))


def gradient_difference(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean of |gi of target - gi of prediction| + |gj of target - gj of prediction|."""
    pairs = zip(gradients(target), gradients(prediction), strict=True)
    down, across = ((a - b).abs().mean(FRAME) for a, b in pairs)
    return down + across


SHARPNESS_DIFFERENCE = Metric(
    "sharpness-difference",
    "10 log10(1 / mean |difference of (gi + gj)|), g = |step to the neighbour|, frames in [0, 1], interior",
    "dB",
    "higher",
    (-3.0103, MAX_PSNR),
    sharpness_difference,
)
GRADIENT_DIFFERENCE = Metric(
    "gradient-difference",
    "|difference of gi| + |difference of gj|, g = |step to the neighbour|, frames in [0, 1], mean over the interior",
    "1",
    "lower",
    (0, 2),
    gradient_difference,
)
