"""Conv2d: one convolution over all frames at once predicts the change."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from nextframe.models.bases.one_step import OneStep, OneStepConfig, keras_conv
from nextframe.models.contract import ModelConfig


class Conv2dConfig(OneStepConfig):
    """Fields of `conv2d`."""

    kernel: int = Field(3, ge=1, description="side of the square kernel, in pixels")


class Conv2dModel(OneStep):
    """The last frame plus one convolution of the frames, stacked along the channels; 408 parameters."""

    Config: ClassVar[type[ModelConfig]] = Conv2dConfig
    config: Conv2dConfig
    idea: ClassVar[str] = "Adds one 3x3 convolution of the stacked context frames to the last: the simplest network."
    when = "A first trial of your data in seconds; too small for more."
    paper: ClassVar[str] = "After the catz notebook, W&B 2019"

    def __init__(self, config: Conv2dConfig) -> None:
        super().__init__(config)
        self.conv = keras_conv(config.context * config.channels, config.channels, config.kernel)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        return context[:, -1:] + self.painted(context)

    def painted(self, context: Tensor) -> Tensor:
        """Return the convolution's output for a context, (B, 1, C, H, W)."""
        maps: Tensor = self.conv(context.flatten(1, 2))
        return maps.unsqueeze(1)
