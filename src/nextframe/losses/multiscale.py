"""How the terms of system 3 are added up over pixels, batch and scales: the paper's way and those of three codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nextframe.losses.gradient_difference import gdl_of_sums, gdl_padded, gdl_paper
from nextframe.losses.pixel import Reduction, charbonnier, mae, mse

Pictures = Sequence[Tensor]  # (B, C, h, w) of each scale, coarse to fine, in [-1, 1]


@dataclass(frozen=True)
class Form:
    """One code's habits. `gradient` reduces as the form does."""

    reduction: Reduction  # over pixels, channels and the batch, of every term
    gradient: Callable[[Tensor, Tensor, float, float], Tensor]
    finest_only: bool = False  # the pixel terms look at the finest scale alone
    mean_over_scales: bool = False  # else the scales are added
    halved: bool = False  # the discriminator's loss is the mean, not the sum, of its loss on real and made frames


FORMS = {
    "paper": Form("mean", gdl_paper),
    "torch": Form("mean", gdl_paper, halved=True),
    "chainer": Form("sum", gdl_of_sums, finest_only=True, halved=True),
    "tf": Form("sum", gdl_padded, mean_over_scales=True),
}


def pixel_term(form: Form, pictures: Pictures, truths: Pictures, p: int, smooth: float = 0.0) -> Tensor:
    """Return |difference|^p, reduced and added up as `form` says; with p 1, differences much below `smooth` squared."""

    def term(picture: Tensor, truth: Tensor) -> Tensor:
        if p == 2:
            return mse(picture, truth, form.reduction)
        return charbonnier(picture, truth, smooth, form.reduction) if smooth else mae(picture, truth, form.reduction)

    return _over_scales(form, pictures, truths, term)


def gradient_term(form: Form, pictures: Pictures, truths: Pictures, alpha: int, smooth: float = 0.0) -> Tensor:
    """Return the gradient difference with exponent `alpha`, added up as `form` says."""
    return _over_scales(form, pictures, truths, lambda a, b: form.gradient(a, b, alpha, smooth))


def add_scales(form: Form, terms: Sequence[Tensor]) -> Tensor:
    """Return the sum, or as `form` says the mean, of one term at every scale."""
    total = torch.stack(list(terms)).sum()
    return total / len(terms) if form.mean_over_scales else total


def _over_scales(form: Form, pictures: Pictures, truths: Pictures, term: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    pairs = list(zip(pictures, truths, strict=True))
    return add_scales(form, [term(a, b) for a, b in (pairs[-1:] if form.finest_only else pairs)])
