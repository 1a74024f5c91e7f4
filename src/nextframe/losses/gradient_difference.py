"""Gradient difference losses as two public ports compute them; `pixel.gdl` is the paper's (Mathieu et al., ICLR 2016).

All take a prediction and a target (B, C, H, W) in [-1, 1] and return the sum over everything, the batch too.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from nextframe.losses.pixel import charbonnier, gdl


def gdl_paper(prediction: Tensor, target: Tensor, alpha: float, smooth: float = 0.0) -> Tensor:
    """Return the mean of the paper's loss: `pixel.gdl` divided by the number of elements.

    With `smooth`, gaps much below it cost their square (`pixel.charbonnier`), so that flat parts pull less.
    """
    if not smooth:
        return gdl(prediction, target, alpha, "mean")
    total = prediction.new_zeros(())
    for axis in (-2, -1):
        steps = target.diff(dim=axis).abs(), prediction.diff(dim=axis).abs()
        total = total + charbonnier(*steps, smooth, "sum")
    return total / target.numel()


def gdl_of_sums(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the Chainer port's loss: |step in prediction - step in target| of the sum of the channels, signs kept.

    No absolute value is taken of the steps themselves, so a reversed edge costs more than a missing one.
    """
    gap = (prediction - target).sum(dim=1)  # (B, H, W): steps are linear, so the step of the gap is the gap of steps
    return gap.diff(dim=-1).abs().sum() + gap.diff(dim=-2).abs().sum()


def gdl_padded(prediction: Tensor, target: Tensor, alpha: float) -> Tensor:
    """Return the TensorFlow port's loss: the paper's with a step to zero at the right and at the lower border."""
    seen, true = (F.pad(frames, (0, 1, 0, 1)) for frames in (prediction, target))
    across = true.diff(dim=-1)[..., :-1, :].abs() - seen.diff(dim=-1)[..., :-1, :].abs()  # (B, C, H, W)
    down = true.diff(dim=-2)[..., :-1].abs() - seen.diff(dim=-2)[..., :-1].abs()
    return across.abs().pow(alpha).sum() + down.abs().pow(alpha).sum()
