"""Losses of a discriminator and its generator from scores. Scores are logits: above zero means real."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.seeds.noise import widest
from nextframe.losses.pixel import Reduction, reduce

Gan = Literal["bce", "hinge", "clipped"]


def fooling(fake: Tensor, gan: Gan, reduction: Reduction = "mean") -> Tensor:
    """Return the generator's loss for the scores of its frames.

    Args:
        fake: logits of any shape.
        gan: "bce": -ln D, the paper's; "hinge": -score (Lim & Ye 2017); "clipped": -log10 of D kept in [0.1, 0.9],
            the TensorFlow port's.
        reduction: over all scores.
    """
    if gan == "hinge":
        return reduce(-fake, reduction)
    return reduce(_surprise(fake, gan), reduction)


def telling(real: Tensor, fake: Tensor, gan: Gan, reduction: Reduction = "mean") -> Tensor:
    """Return the discriminator's loss: real frames judged as generated, plus generated ones judged as real.

    Args:
        real: logits of real frames.
        fake: logits of the generator's frames.
        gan: as for `fooling`.
        reduction: over the scores of real and of generated frames; both results are added.
    """
    if gan == "hinge":
        return reduce(F.relu(1 - real), reduction) + reduce(F.relu(1 + fake), reduction)
    return reduce(_surprise(real, gan), reduction) + reduce(_surprise(-fake, gan), reduction)


def accuracy(real: Tensor, fake: Tensor) -> Tensor:
    """Return the share of clips with a mean score on the right side of zero: 0.5 is guessing, 1 has won.

    Scores are (B, ...). What does not move looks the same in both, so single positions say less than their mean.
    """
    real, fake = real.flatten(1).mean(1), fake.flatten(1).mean(1)
    wide = widest(real.device)
    return ((real > 0).to(wide).mean() + (fake < 0).to(wide).mean()) / 2


def gradient_penalty(score: Tensor, frames: Tensor) -> Tensor:
    """Return R1 (Mescheder et al. 2018): half the squared gradient of the scores by real frames, mean over the batch.

    Args:
        score: (B, ...), computed from `frames`; its mean over the positions of a clip is that clip's score.
        frames: (B, C, H, W) that require a gradient.
    """
    (slope,) = torch.autograd.grad(score.flatten(1).mean(1).sum(), frames, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean() / 2


def _surprise(logits: Tensor, gan: Gan) -> Tensor:
    """Return -log of the probability of being real, without overflow."""
    if gan == "bce":
        return F.softplus(-logits)
    return -torch.log10(torch.sigmoid(logits).clamp(0.1, 0.9))
