"""The smallest trainable model, as a user would write one: for tests of what goes around models."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.models.contract import Capabilities, ModelConfig, Objective, Predictor, Request, Stage


class TinyConfig(ModelConfig):
    channels: int = Field(1, ge=1, le=4)
    width: int = Field(3, ge=1, le=16)
    any_size: bool = True


class Tiny(Predictor):
    """Each next frame is a convolution of the last one."""

    Config: ClassVar[type[ModelConfig]] = TinyConfig
    config: TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.mix = nn.Conv2d(config.channels, config.width, 3, padding=1)
        self.out = nn.Conv2d(config.width, config.channels, 1)
        self.register_buffer("seen", torch.zeros(1))

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(channels=self.config.channels, any_size=self.config.any_size)

    def forecast(self, request: Request) -> Tensor:
        frame, future = request.context[:, -1], []
        for _ in range(request.horizon):
            frame = torch.sigmoid(self.out(self.mix(frame)))
            future.append(frame)
        return torch.stack(future, dim=1)

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        loss = (self(clip.context, clip.horizon) - clip.target).square().mean()
        return loss, {"loss": loss.detach()}

    def stages(self) -> list[Stage]:
        return [Stage("train", [Objective("pixels", list(self.parameters()), self.loss)])]
