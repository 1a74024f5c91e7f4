"""The definition of a metric, and the wrapper that measures only what moves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from nextframe.core.errors import UserError

if TYPE_CHECKING:  # names and definitions can be listed without importing torch
    from torch import Tensor


@dataclass(frozen=True)
class Metric:
    """A value for each predicted frame.

    `function(prediction, target)` takes two (B, T, C, H, W) in [0, 1] and returns (B, T); callers average. One that is
    `unclipped` is of predictions as the model computes them, which may be outside of [0, 1].
    """

    name: str
    definition: str  # one line: what is computed, over what, with which constants
    unit: str
    better: Literal["lower", "higher"]
    range: tuple[float, float]  # of frames in [0, 1]
    function: Callable[[Tensor, Tensor], Tensor]
    unclipped: bool = False

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Return (B, T) values for two (B, T, C, H, W) of the same shape."""
        if prediction.ndim != 5 or prediction.shape != target.shape:
            shapes = f"{tuple(prediction.shape)}, {tuple(target.shape)}"
            raise UserError(f"{self.name} needs two (B, T, C, H, W) of the same shape, not {shapes}")
        return self.function(prediction, target)


def moving(metric: Metric, context: Tensor, threshold: float = 0.02) -> Metric:
    """Return `metric` over the pixels that moved: the others are black in both frames.

    A pixel moved if any channel of the target differs from the last context frame by more than `threshold`. As in
    Mathieu et al. (ICLR 2016), masked pixels count as pixels without error, so means are over all pixels.

    Args:
        metric: what to measure.
        context: (B, T', C, H, W), the context frames.
        threshold: in units of [0, 1]; 0.02 is five of 255 levels.
    """
    last = context[:, -1:]  # (B, 1, C, H, W)

    def masked(prediction: Tensor, target: Tensor) -> Tensor:
        moved = ((target - last).abs() > threshold).any(dim=2, keepdim=True)  # (B, T, 1, H, W)
        return metric.function(prediction * moved, target * moved)

    definition = f"{metric.definition}; pixels within {threshold:g} of the last context frame are black in both"
    return replace(metric, name=f"{metric.name}-moving", definition=definition, function=masked)
