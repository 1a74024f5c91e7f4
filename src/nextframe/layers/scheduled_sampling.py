"""Scheduled sampling: which frames a recurrent model reads as they were while training, which as it predicted them."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.config import Config
from nextframe.core.seeds.noise import ends_step, uniform, widest


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

    def chances(self, step: Tensor) -> tuple[Tensor, Tensor]:
        """Return the chance that a true frame is read in training step `step`: within the context, and after it.

        `step` is a whole number without axes, and so are the chances, on its device: a look at the number would make
        the processor wait for a GPU in every step, and torch.compile make another graph for each.
        """
        at = step.to(widest(step.device))
        if self.kind == "scheduled":
            fallen = (1 - (at + 1) * self.fall).clamp(min=0)
            return torch.ones_like(at), torch.where(at < self.stop, fallen, 0.0)
        gone, over = (at - self.first).clamp(min=0), at >= max(self.first, self.second)
        inside, after = 1 - 0.5 * (-gone / self.decay).exp(), 0.5 - 0.5 * gone / max(1, self.second - self.first)
        return torch.where(over, 1.0, inside), torch.where(over, 0.0, after)


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
        counts a step, of one that is computed in parts the last.
        """
        length = frames.shape[1]
        within = torch.arange(1, length, device=frames.device) < context
        if not self.training:
            return within.expand(len(frames), -1)
        chance = torch.where(within, *self.config.chances(self.steps))
        self.steps += ends_step()
        drawn = uniform((len(frames), 1 if self.config.whole else length - 1), frames.device)
        return drawn < chance.to(drawn.dtype)
