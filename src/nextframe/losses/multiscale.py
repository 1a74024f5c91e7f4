"""The pixel terms of the multi-scale adversarial predictor, added up over its scales (Mathieu et al., ICLR 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nextframe.losses.gradient_difference import gdl_paper
from nextframe.losses.pixel import Reduction, charbonnier, mae, mse

Images = Sequence[Tensor]  # (B, C, h, w) of each scale, coarse to fine, in [-1, 1]


def pixel_term(images: Images, truths: Images, p: int, smooth: float = 0.0) -> Tensor:
    """Return the sum over scales of the mean of |difference|^p; with p 1, differences much below `smooth` squared."""
    return torch.stack([distance(a, b, p, smooth) for a, b in zip(images, truths, strict=True)]).sum()


def distance(image: Tensor, truth: Tensor, p: int, smooth: float = 0.0, reduction: Reduction = "mean") -> Tensor:
    """Return |difference|^p of one scale, as `pixel_term` has it."""
    if p == 2:
        return mse(image, truth, reduction)
    return charbonnier(image, truth, smooth, reduction) if smooth else mae(image, truth, reduction)


def gradient_term(images: Images, truths: Images, alpha: int = 1, smooth: float = 0.0) -> Tensor:
    """Return the sum over scales of the gradient difference with exponent `alpha`."""
    return torch.stack([gdl_paper(a, b, alpha, smooth) for a, b in zip(images, truths, strict=True)]).sum()
