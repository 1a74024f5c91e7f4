"""Scheduled sampling: which frames a recurrent model reads as they were while training, which as it predicted them."""

from __future__ import annotations

from math import exp
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.config import Config
from nextframe.core.seeds.noise import uniform


class SamplingConfig(Config):
    """When true frames are read while training. The defaults are those of PredRNN's public code for Moving MNIST."""

    kind: Literal["scheduled", "reverse"] = Field(
        "scheduled",
        description="scheduled: true frames become rarer after the context; reverse: also commoner within it",
    )
    fall: float = Field(2e-5, ge=0, description="scheduled: how much the chance of a true frame falls in each step")
    stop: int = Field(50_000, ge=0, description="scheduled: the step from which on no true frame is read")
    first: int = Field(25_000, ge=0, description="reverse: the step until which every chance is one half")
    second: int = Field(50_000, ge=0, description="reverse: the step from which on true frames are the context alone")
    decay: float = Field(5_000.0, gt=0, description="reverse: steps in which the chance in the context nears 1 by e")
    whole: bool = Field(False, description="one draw for all frames of a clip, instead of one for each frame")

    def chances(self, step: int) -> tuple[float, float]:
        """Return the chance that a true frame is read in training step `step`: within the context, and after it."""
        if self.kind == "scheduled":
            return 1.0, max(0.0, 1.0 - (step + 1) * self.fall) if step < self.stop else 0.0
        if step < self.first:
            return 0.5, 0.5
        if step >= self.second:
            return 1.0, 0.0
        gone = step - self.first
        return 1.0 - 0.5 * exp(-gone / self.decay), 0.5 - 0.5 * gone / (self.second - self.first)


class ScheduledSampling(nn.Module):
    """Draws which frames are read as they were; it counts training steps, and a checkpoint keeps the count.

    After Bengio et al. 2015, arXiv 1506.03099; reverse: Wang et al. 2021 (PredRNN-V2), arXiv 2103.09504.
    """

    steps: Tensor

    def __init__(self, config: SamplingConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def forward(self, frames: Tensor, context: int) -> Tensor:
        """Return (B, T - 1) bools for `frames` (B, T, ...): whether frame t + 1 is read as it was in training.

        The first frame always is. In eval mode true frames are those of the context. Each call in training mode
        counts a step.
        """
        length = frames.shape[1]
        within = torch.arange(1, length, device=frames.device) < context
        if not self.training:
            return within.expand(len(frames), -1)
        inside, after = self.config.chances(int(self.steps))
        self.steps += 1
        chance = torch.where(within, inside, after)
        drawn = uniform((len(frames), 1 if self.config.whole else length - 1), frames.device)
        return drawn < chance
