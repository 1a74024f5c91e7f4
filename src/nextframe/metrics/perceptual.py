"""Perceptual colour distance: the ranking metric of the catz benchmark."""

from __future__ import annotations

from torch import Tensor

from nextframe.core.color import redmean_squared
from nextframe.metrics.metric import Metric


def perceptual_distance(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean over pixels of the "redmean" colour distance on the 0-255 scale, (B, T)."""
    return redmean_squared(prediction, target).sqrt().mean((-2, -1))


PERCEPTUAL_DISTANCE = Metric(
    "perceptual-distance",
    "redmean RGB distance on the 0-255 scale, mean over pixels (catz benchmark)",
    "colour levels",
    "lower",
    (0, 764.8340),
    perceptual_distance,
)
