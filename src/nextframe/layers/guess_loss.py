"""What guesses of a coming frame cost, made one after another from coarse to fine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nextframe.layers.guess import Guess
from nextframe.losses.flow_error import flow_error
from nextframe.losses.pyramid import pyramid_loss

STAGE_WEIGHTS = (0.05, 0.15, 0.3, 1.0)  # of the losses after the coarse motion and each refinement
FLOW_WEIGHTS = (0.015, 0.015, 0.021, 0.03)  # of the flow's error there, if the true flow is known


def frame_loss(frames: Sequence[Tensor], truth: Tensor) -> Tensor:
    """Return the weighed pyramid losses of the frames (B, 3, H, W) of every scale."""
    return torch.stack([w * pyramid_loss(frame, truth) for w, frame in zip(STAGE_WEIGHTS, frames, strict=True)]).sum()


def flow_loss(guesses: Sequence[Guess], truth: Tensor, known: Tensor) -> Tensor:
    """Return the weighed errors of the flows of every scale; of clips whose flow is not `known` (B,), none."""
    errors = [w * flow_error(guess.flow, truth) * known for w, guess in zip(FLOW_WEIGHTS, guesses, strict=True)]
    return torch.stack(errors).mean(1).sum()
