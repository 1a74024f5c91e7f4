"""Whole frames as vectors: what a network over vectors reads of them, and what its outputs show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from nextframe.core.errors import UserError


@dataclass(frozen=True)
class FrameVectors:
    """Frames of `channels` x `height` x `width` as vectors of D numbers around `zero`, time first.

    Outputs are probabilities behind a sigmoid with the loss "bce", levels with "squared".
    """

    channels: int
    height: int
    width: int
    loss: Literal["bce", "squared"]
    zero: float = 0.0

    def read(self, frames: Tensor) -> Tensor:
        """Return frames (B, T, C, H, W) as vectors (T, B, D); UserError if they are of another size."""
        shape = (self.channels, self.height, self.width)
        if tuple(frames.shape[2:]) != shape:
            made, found = "x".join(map(str, shape)), "x".join(map(str, frames.shape[2:]))
            raise UserError(f"this composite-lstm takes frames of {made} (channels x height x width), not {found}")
        vectors = frames.flatten(2).transpose(0, 1)
        return vectors - self.zero if self.zero else vectors

    def levels(self, logits: Tensor) -> Tensor:
        """Return what outputs show, and what is read of them in a next step: frames in [0, 1], minus the zero."""
        if self.loss == "bce":
            return logits.sigmoid() - self.zero
        return logits.clamp(-self.zero, 1 - self.zero)

    def frames(self, logits: Tensor) -> Tensor:
        """Return the frames (B, T, C, H, W) in [0, 1] of outputs (T, B, D)."""
        shown = self.levels(logits) + self.zero
        return shown.transpose(0, 1).reshape(shown.shape[1], len(shown), self.channels, self.height, self.width)

    def distance(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy, or half the squared distance, summed over everything; (T, B, D) both."""
        if self.loss == "bce":
            return F.binary_cross_entropy_with_logits(logits, target + self.zero, reduction="sum")
        return (logits - target).square().sum() / 2
