"""Conv2d: the catz notebook's first model, one convolution over all frames at once."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from nextframe.models.bases.one_step import Head, OneStep, OneStepConfig, finish, keras_conv
from nextframe.models.contract import ModelConfig


class Conv2dConfig(OneStepConfig):
    """Fields of `conv2d`; the original is head="relu", loss="mse"."""

    kernel: int = Field(3, ge=1)
    head: Head = "residual"  # what the convolution gives: the frame, or the change from the last one


class Conv2dModel(OneStep):
    """One convolution of the frames, stacked frame by frame along the channels; 408 parameters."""

    Config: ClassVar[type[ModelConfig]] = Conv2dConfig
    config: Conv2dConfig
    idea: ClassVar[str] = "One 3x3 convolution over the stacked context frames: the simplest network."
    paper: ClassVar[str] = "catz notebook, W&B 2019"

    def __init__(self, config: Conv2dConfig) -> None:
        super().__init__(config)
        self.conv = keras_conv(config.context * config.channels, config.channels, config.kernel)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        return finish(self.conv(context.flatten(1, 2)), context, self.config.head)
