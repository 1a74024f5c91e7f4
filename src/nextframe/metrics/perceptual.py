"""Colour distance as the eye weighs it: the ranking metric of the catz benchmark."""

from __future__ import annotations

from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.metrics.metric import Metric


def perceptual_distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean over pixels of the "redmean" colour distance, on the 0-255 scale.

    compuphase.com/cmetric: sqrt((512 + r) dR^2 / 256 + 4 dG^2 + (767 - r) dB^2 / 256) with r the mean of both reds.
    Grey frames are taken as RGB with three equal channels; of four channels the first three count.

    Raises:
        UserError: frames of another number of channels.
    """
    channels = prediction.shape[2]
    if channels not in (1, 3, 4):
        raise UserError(f"perceptual-distance needs grey or RGB frames, not {channels} channels")
    seen, true = ((frames * 255).unbind(2)[:3] for frames in (prediction, target))  # (B, T, H, W) each
    if channels == 1:
        seen, true = seen * 3, true * 3  # tuples of one plane, three times
    red, green, blue = ((a - b).square() for a, b in zip(seen, true, strict=True))
    mean_red = (seen[0] + true[0]) / 2
    squared = (512 + mean_red) * red / 256 + 4 * green + (767 - mean_red) * blue / 256
    return squared.sqrt().mean((-2, -1))


PERCEPTUAL_DISTANCE = Metric(
    "perceptual-distance",
    "redmean RGB distance on the 0-255 scale, mean over pixels (catz benchmark)",
    "colour levels",
    "lower",
    (0, 764.8340),
    perceptual_distance,
)
