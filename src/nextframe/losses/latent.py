"""Losses of distributions: divergences of diagonal Gaussians and the likelihood of a mixture. All are in nats.

Gaussians are given by their mean and the logarithm of their standard deviation, (..., D) each. Dimensions are summed;
`reduction` is applied to the leading axes: "mean", "sum", or "none", which keeps them.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

Reduction = Literal["mean", "sum", "none"]


def kl_standard_normal(mean: Tensor, log_sigma: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return KL(N(mean, sigma^2) || N(0, 1)), summed over D, then averaged (or summed) over all else.

    Kingma & Welling 2014: -1/2 sum(1 + 2 log sigma - mean^2 - sigma^2).
    """
    divergence = -0.5 * (1 + 2 * log_sigma - mean.square() - torch.exp(2 * log_sigma)).sum(-1)
    return _reduce(divergence, reduction)


def kl_normal(
    mean: Tensor, log_sigma: Tensor, other_mean: Tensor, other_log_sigma: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Return KL(N(mean, sigma^2) || N(other_mean, other_sigma^2)), summed over D, then averaged (or summed)."""
    log_ratio = other_log_sigma - log_sigma
    scaled = (mean - other_mean) * torch.exp(-other_log_sigma)
    divergence = 0.5 * (torch.exp(-2 * log_ratio) + scaled.square() - 1) + log_ratio
    return _reduce(divergence.sum(-1), reduction)


def gaussian_nll(mean: Tensor, log_sigma: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Return -log N(target | mean, sigma^2), summed over D, then averaged (or summed) over all else."""
    scaled = (target - mean) * torch.exp(-log_sigma)
    return _reduce((0.5 * scaled.square() + log_sigma + 0.5 * math.log(2 * math.pi)).sum(-1), reduction)


def mixture_nll(
    logits: Tensor,
    mean: Tensor,
    log_sigma: Tensor,
    target: Tensor,
    floor: float = 1e-3,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the negative log likelihood of a mixture density network (Bishop 1994; Ha & Schmidhuber 2018).

    Each dimension of the target has its own mixture.

    Args:
        logits: (..., D, K), the mixture weights before their softmax over K.
        mean: (..., D, K).
        log_sigma: (..., D, K).
        target: (..., D).
        floor: the smallest standard deviation; without one, a component on top of a target grows without end.
        reduction: over the leading axes.
    """
    mean, log_sigma, target = mean.unsqueeze(-1), log_sigma.unsqueeze(-1), target.unsqueeze(-1)  # dimensions alone
    each = diagonal_mixture_nll(logits, mean, log_sigma, target, floor, "none")  # (..., D)
    return _reduce(each.sum(-1), reduction)


def diagonal_mixture_nll(
    logits: Tensor,
    mean: Tensor,
    log_sigma: Tensor,
    target: Tensor,
    floor: float = 1e-3,
    reduction: Reduction = "mean",
) -> Tensor:
    """Return the negative log likelihood of one mixture of K diagonal Gaussians over the whole target.

    Args:
        logits: (..., K), the mixture weights before their softmax.
        mean: (..., K, D).
        log_sigma: (..., K, D).
        target: (..., D).
        floor: the smallest standard deviation.
        reduction: over the leading axes.
    """
    log_sigma = log_sigma.clamp_min(math.log(floor))
    log_density = -gaussian_nll(mean, log_sigma, target.unsqueeze(-2), "none")  # (..., K)
    return _reduce(-torch.logsumexp(torch.log_softmax(logits, dim=-1) + log_density, dim=-1), reduction)


def _reduce(values: Tensor, reduction: Reduction) -> Tensor:
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()
