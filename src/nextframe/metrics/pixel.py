"""Metrics that compare pixel by pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from nextframe.metrics.metric import Metric

FRAME = (-3, -2, -1)  # C, H, W
TINY = 1e-10  # keeps the logarithm finite for a pixel that is predicted as certainly black
CAP = 60.0  # dB, where frames of real videos are averaged: one predicted to the last digit must not decide a mean
MAX_PSNR = 100.0  # of frames that are equal, or nearly: an infinite value would spoil every mean


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the squared difference, mean over C, H, W."""
    return (prediction - target).square().mean(FRAME)


def mae(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the absolute difference, mean over C, H, W."""
    return (prediction - target).abs().mean(FRAME)


def mse_sum(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the squared difference, sum over C, H, W."""
    return (prediction - target).square().sum(FRAME)


def mae_sum(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the absolute difference, sum over C, H, W."""
    return (prediction - target).abs().sum(FRAME)


def cross_entropy(prediction: Tensor, target: Tensor) -> Tensor:
    """Return -x ln(p + 1e-10) - (1 - x) ln(1 - p + 1e-10), sum over C, H, W, as Srivastava et al. 2015 define it."""
    ones = target * (prediction + TINY).log()
    zeros = (1 - target) * (1 - prediction + TINY).log()
    return -(ones + zeros).sum(FRAME)


def psnr(prediction: Tensor, target: Tensor) -> Tensor:
    """Return 10 log10(1 / mse) of each frame, at most 100 dB."""
    return decibels(mse(prediction, target))


def decibels(error: Tensor) -> Tensor:
    """Return 10 log10(1 / error), at most 100."""
    return -10 * torch.log10(error.clamp_min(10 ** (-MAX_PSNR / 10)))


MSE = Metric("mse", "squared difference of [0, 1] frames, mean over C, H, W", "1", "lower", (0, 1), mse)
MAE = Metric("mae", "absolute difference of [0, 1] frames, mean over C, H, W", "1", "lower", (0, 1), mae)
MSE_SUM = Metric(
    "mse-sum",
    "squared difference of [0, 1] frames, sum over C, H, W",
    "per frame",
    "lower",
    (0, float("inf")),
    mse_sum,
)
MAE_SUM = Metric(
    "mae-sum",
    "absolute difference of [0, 1] frames, sum over C, H, W",
    "per frame",
    "lower",
    (0, float("inf")),
    mae_sum,
)
MSE_OPENSTL = Metric(
    "mse-openstl",
    "squared difference, sum over C, H, W, of predictions that are not clipped to [0, 1] (what OpenSTL calls MSE)",
    "per frame",
    "lower",
    (0, float("inf")),
    mse_sum,
    unclipped=True,
)
MAE_OPENSTL = Metric(
    "mae-openstl",
    "absolute difference, sum over C, H, W, of predictions that are not clipped to [0, 1] (what OpenSTL calls MAE)",
    "per frame",
    "lower",
    (0, float("inf")),
    mae_sum,
    unclipped=True,
)
CROSS_ENTROPY = Metric(
    "cross-entropy",
    "-x ln(p + 1e-10) - (1 - x) ln(1 - p + 1e-10) of [0, 1] frames, sum over C, H, W",
    "nats per frame",
    "lower",
    (0, float("inf")),
    cross_entropy,
)
PSNR = Metric("psnr", "10 log10(1 / mse) of each frame, peak 1, at most 100 dB", "dB", "higher", (0, MAX_PSNR), psnr)
