"""Per-frame metrics by name. Those that end in -openstl or -mathieu follow that code, for comparison."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nextframe.core.registry import Registry
from nextframe.metrics.metric import Metric, moving

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["COMPATS", "METRICS", "MOVING", "Metric", "find_metric", "moving"]

COMPATS = ("openstl", "mathieu")  # ends of names: other codes' definitions
MOVING = "-moving"  # ends the name of a metric over the pixels that moved

METRICS: Registry[Metric] = Registry(
    "metric",
    "nextframe.metrics",
    "a Metric of that name",
    lambda name, thing: isinstance(thing, Metric) and thing.name == name,
)

METRICS.add("mse", "nextframe.metrics.pixel:MSE")
METRICS.add("mae", "nextframe.metrics.pixel:MAE")
METRICS.add("psnr", "nextframe.metrics.pixel:PSNR")
METRICS.add("ssim", "nextframe.metrics.similarity:SSIM")
METRICS.add("msssim", "nextframe.metrics.similarity:MSSSIM")
METRICS.add("mse-sum", "nextframe.metrics.pixel:MSE_SUM")
METRICS.add("mae-sum", "nextframe.metrics.pixel:MAE_SUM")
METRICS.add("cross-entropy", "nextframe.metrics.pixel:CROSS_ENTROPY")
METRICS.add("perceptual-distance", "nextframe.metrics.perceptual:PERCEPTUAL_DISTANCE")
METRICS.add("sharpness-difference", "nextframe.metrics.sharpness:SHARPNESS_DIFFERENCE")
METRICS.add("gradient-difference", "nextframe.metrics.sharpness:GRADIENT_DIFFERENCE")
METRICS.add("lpips", "nextframe.metrics.lpips:LPIPS")
METRICS.add("mse-openstl", "nextframe.metrics.pixel:MSE_OPENSTL")
METRICS.add("mae-openstl", "nextframe.metrics.pixel:MAE_OPENSTL")
METRICS.add("ssim-openstl", "nextframe.metrics.similarity:SSIM_OPENSTL")
METRICS.add("psnr-mathieu", "nextframe.metrics.mathieu:PSNR_MATHIEU")
METRICS.add("ssim-mathieu", "nextframe.metrics.mathieu:SSIM_MATHIEU")
METRICS.add("sharpness-difference-mathieu", "nextframe.metrics.mathieu:SHARPNESS_MATHIEU")


def find_metric(name: str, context: Tensor) -> Metric:
    """Return the metric `name`; if the name ends in -moving, restricted to the pixels that moved.

    Args:
        name: "psnr", or "psnr-moving".
        context: (B, T, C, H, W), the context frames of the clips to measure.

    Raises:
        UnknownNameError: no such metric.
    """
    metric = METRICS.get(name.removesuffix(MOVING))
    return moving(metric, context) if name.endswith(MOVING) else metric
