"""A discriminator of sequences: each frame is judged beside the one before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nextframe.layers.discriminators import discriminators, frozen
from nextframe.losses.adversarial import accuracy, fooling, telling


class FrameJudge(nn.Module):
    """Says of every patch of every frame whether it is real, by what it shows and how it has moved.

    Hinge losses (Lim & Ye 2017) and spectral norm (Miyato et al. 2018), as in `multiscale-gan`.
    """

    def __init__(self, channels: int) -> None:
        """Make the convolutions for pairs of frames of `channels`."""
        super().__init__()
        (self.patches,) = discriminators("light", 1, 2 * channels, spectral=True)

    def forward(self, last: Tensor, frames: Tensor) -> Tensor:
        """Return logits (B * T, h, w) of frames (B, T, C, H, W) that follow `last` (B, 1, C, H, W), all in [0, 1]."""
        before = torch.cat([last, frames[:, :-1]], dim=1)
        pairs = torch.cat([before, frames], dim=2).flatten(0, 1) * 2 - 1
        scores: Tensor = self.patches(pairs)
        return scores

    def fooled(self, last: Tensor, frames: Tensor) -> Tensor:
        """Return what `frames` cost the one that generated them; only they get a gradient."""
        with frozen(self.parameters()):
            return fooling(self(last, frames), "hinge")

    def told(self, last: Tensor, real: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """Return the discriminator's loss on real and generated frames after `last`, and how often it is right."""
        truth, guess = self(last, real), self(last, made)
        return telling(truth, guess, "hinge"), accuracy(truth, guess)
