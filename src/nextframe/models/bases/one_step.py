"""Base of the models that predict one next frame: exact context, roll-out, and one loss by Adam."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.color import COLORED
from nextframe.core.seeds.noise import normal_like, uniform
from nextframe.losses.perceptual import perceptual
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import Block, roll_on

Loss = Literal["mse", "perceptual"]


class OneStepConfig(ModelConfig):
    """Fields that every such model has."""

    context: int = Field(5, ge=1, description="context frames, exactly")
    channels: int = Field(3, ge=1, description="1 grey, 3 RGB")
    loss: Loss = Field("perceptual", description="perceptual is the metric by which the catz benchmark ranks")


class DisturbedConfig(OneStepConfig):
    """Fields of those whose context is disturbed while they are trained."""

    noise: float = Field(0.1, ge=0, description="standard deviation of the noise on the context while training")
    input_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of the context's values set to 0 while training: instead of noise",
    )


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
        logs: dict[str, Tensor] = {self.config.loss: loss.detach()}
        if frame.shape[2] in COLORED:  # the metric, which the notebook logs beside the loss
            logs["perceptual-distance"] = perceptual(frame.detach(), target, epsilon=0)
        return loss, logs


def keras_conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """Return a "same" convolution initialised as in Keras: Glorot uniform weights, zero bias."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.xavier_uniform_(conv.weight)
    nn.init.zeros_(cast(Tensor, conv.bias))
    return conv


def disturbed(frames: Tensor, config: DisturbedConfig, training: bool) -> Tensor:
    """Return frames as a network sees them while training: Keras's GaussianNoise, then its Dropout; else unchanged."""
    if training and config.noise:
        frames = frames + config.noise * normal_like(frames)
    if training and config.input_dropout:
        kept = uniform(frames.shape, frames.device) >= config.input_dropout
        frames = frames * kept / (1 - config.input_dropout)
    return frames
