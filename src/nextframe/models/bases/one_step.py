"""Base of the models that predict one next frame: exact context, roll-out, and one loss by Adam."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.seeds.noise import normal_like
from nextframe.losses.perceptual import perceptual
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import Block, roll_on

Loss = Literal["mse", "perceptual"]


class OneStepConfig(ModelConfig):
    """Fields that every such model has."""

    context: int = Field(5, ge=1, description="context frames, exactly")
    channels: int = Field(3, ge=1, description="1 grey, 3 RGB")
    loss: Loss = Field("perceptual", description="perceptual is the metric by which the catz benchmark ranks")


class OneStep(Predictor):
    """A model whose `next_frame` maps (B, T, C, H, W) to the one target frame.

    That is the next frame, or, for a model trained on middle frames, the one in the middle.
    """

    config: OneStepConfig

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the configured context and channels; any size, any horizon by roll-out."""
        return Capabilities.exactly(self.config.context, self.config.channels)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Roll the one-step prediction out."""
        return roll_on(self.next_frame, request.context, request.horizon)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the target frame (B, 1, C, H, W), not clamped, of a context (B, T, C, H, W)."""
        raise NotImplementedError

    def stages(self) -> list[Stage]:
        """One stage, one objective; Adam at 1e-3, Keras's default, as in all catz models."""
        adam = OptimizerDefaults("adam", lr=1e-3)
        return [Stage("train", [Objective("frame", list(self.parameters()), self._loss, adam)])]

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        frame, target = self.next_frame(clip.context), clip.target[:, :1]
        loss = F.mse_loss(frame, target) if self.config.loss == "mse" else perceptual(frame, target)
        return loss, {self.config.loss: loss.detach()}


def keras_conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Return a "same" convolution initialised as in Keras: Glorot uniform weights, zero bias."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(cast(Tensor, conv.bias))
    return conv


def add_noise(frames: Tensor, sigma: float, training: bool) -> Tensor:
    """Return frames with Gaussian noise while training, and unchanged otherwise (Keras's GaussianNoise)."""
    return frames + sigma * normal_like(frames) if training and sigma else frames
