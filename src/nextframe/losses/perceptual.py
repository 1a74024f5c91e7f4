"""The catz benchmark's perceptual distance as a loss: the same colour distance, with a gradient at zero."""

from __future__ import annotations

import torch
from torch import Tensor

from nextframe.core.color import redmean_squared
from nextframe.losses.pixel import Reduction, reduce


def perceptual(prediction: Tensor, target: Tensor, epsilon: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """Return sqrt(d^2 + epsilon^2) - epsilon of every pixel's "redmean" distance d, in levels of 0-255.

    Without epsilon, the root has no finite gradient at equal colours, and most pixels of a GIF are equal.

    Args:
        prediction: (B, T, C, H, W), grey or RGB, near [0, 1]: far outside, d^2 can turn negative and counts as 0.
        target: the same shape.
        epsilon: in colour levels; the distance is smooth below it and unchanged far above it.
        reduction: over pixels and frames.
    """
    squared = redmean_squared(prediction, target).clamp_min(0)
    return reduce(torch.sqrt(squared + epsilon**2) - epsilon, reduction)
