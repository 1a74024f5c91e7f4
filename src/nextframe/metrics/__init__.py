"""Per-frame metrics by name. A name that ends in -openstl is that project's own definition, for comparison only."""

from __future__ import annotations

from nextframe.core.registry import Registry
from nextframe.metrics.metric import Metric, moving

__all__ = ["METRICS", "Metric", "moving"]

METRICS: Registry[Metric] = Registry("metric")

METRICS.add("mse", "nextframe.metrics.pixel:MSE")
METRICS.add("mae", "nextframe.metrics.pixel:MAE")
METRICS.add("psnr", "nextframe.metrics.pixel:PSNR")
METRICS.add("ssim", "nextframe.metrics.similarity:SSIM")
METRICS.add("msssim", "nextframe.metrics.similarity:MSSSIM")
METRICS.add("mse-sum", "nextframe.metrics.pixel:MSE_SUM")
METRICS.add("mae-sum", "nextframe.metrics.pixel:MAE_SUM")
METRICS.add("perceptual-distance", "nextframe.metrics.perceptual:PERCEPTUAL_DISTANCE")
METRICS.add("sharpness-difference", "nextframe.metrics.sharpness:SHARPNESS_DIFFERENCE")
METRICS.add("gradient-difference", "nextframe.metrics.sharpness:GRADIENT_DIFFERENCE")
METRICS.add("ssim-openstl", "nextframe.metrics.similarity:SSIM_OPENSTL")
