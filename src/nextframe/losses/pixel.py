"""Losses between frames. Each takes a prediction and a target of the same shape and returns a scalar.

`reduction` is "mean" (over every element) or "sum" (over every element, the batch too); published loss weights often
assume sums, so recipes that follow a paper say which.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Reduction = Literal["mean", "sum"]


def mse(prediction: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the squared difference."""
    return F.mse_loss(prediction, target, reduction=reduction)


def mae(prediction: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the absolute difference (L1)."""
    return F.l1_loss(prediction, target, reduction=reduction)


def charbonnier(prediction: Tensor, target: Tensor, epsilon: float = 1e-3, reduction: Reduction = "mean") -> Tensor:
    """Return sqrt(difference^2 + epsilon^2) - epsilon: L1 that is smooth near zero, and zero where both are equal."""
    return reduce(torch.sqrt((prediction - target).square() + epsilon**2) - epsilon, reduction)


def bce(prediction: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the binary cross-entropy in nats of probabilities in [0, 1], as for sigmoid outputs.

    A target between 0 and 1 is itself a probability, so the smallest loss is its entropy and not zero. Each logarithm
    is bounded below by -100, so a confident, wrong pixel is finite. Prefer `bce_logits`: it keeps its gradient there.
    """
    return F.binary_cross_entropy(prediction, target, reduction=reduction)


def bce_logits(logits: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return the binary cross-entropy in nats of sigmoid(logits), without overflow at any logit."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction=reduction)


def gdl(prediction: Tensor, target: Tensor, alpha: float = 1.0, reduction: Reduction = "mean") -> Tensor:
    """Return the gradient difference loss of Mathieu, Couprie & LeCun (ICLR 2016), each channel by itself.

    The sum over neighbours down and across of ||step in target| - |step in prediction||^alpha; no difference is taken
    across the border.

    Args:
        prediction: (..., H, W).
        target: the same shape.
        alpha: 1 in the paper's text, 2 in the widely used TensorFlow port.
        reduction: "sum" as in the paper, or "mean": that sum divided by the number of elements of the target.
    """
    total = prediction.new_zeros(())
    for axis in (-2, -1):
        gap = target.diff(dim=axis).abs() - prediction.diff(dim=axis).abs()
        total = total + gap.abs().pow(alpha).sum()
    return total if reduction == "sum" else total / target.numel()


def reduce(values: Tensor, reduction: Reduction) -> Tensor:
    """Return the mean or the sum of all `values`."""
    return values.mean() if reduction == "mean" else values.sum()
