"""Conv3d-residual: a 3D convolution that predicts the change from the last frame."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.models.bases.one_step import OneStep, OneStepConfig, add_noise
from nextframe.models.contract import Capabilities, ModelConfig

KERNEL = 3


class Conv3dResidualConfig(OneStepConfig):
    """Fields of `conv3d-residual`; the original is noise_on_last=True, loss="mse", axes="colour"."""

    axes: Literal["colour", "time"] = "colour"  # the third axis of the convolution
    noise: float = Field(0.0, ge=0)  # standard deviation of the noise on the context while training
    noise_on_last: bool = False  # whether the last frame that the change is added to is the noisy one


class Conv3dResidual(OneStep):
    """The last frame plus a 3x3x3 convolution of the context; 136 parameters.

    The original's axes are (height, width, colour), with the frames as input channels: a colour is predicted from its
    neighbours in the list red, green, blue, by the same weights for each. With axes="time" the convolution runs
    over (time, height, width), with colours as channels, and its last place, which sees three frames, is the answer.
    """

    Config: ClassVar[type[ModelConfig]] = Conv3dResidualConfig
    config: Conv3dResidualConfig
    idea: ClassVar[str] = "Adds a 3x3x3 convolution of the context, over space and colour or time, to the last frame."
    paper: ClassVar[str] = "catz notebook, W&B 2019"

    def __init__(self, config: Conv3dResidualConfig) -> None:
        super().__init__(config)
        inputs, outputs = (config.context, 1) if config.axes == "colour" else (config.channels, config.channels)
        self.conv = nn.Conv3d(inputs, outputs, KERNEL, padding=(KERNEL // 2 if config.axes == "colour" else 0, 1, 1))
        nn.init.xavier_uniform_(self.conv.weight)
        nn.init.zeros_(cast(Tensor, self.conv.bias))

    @property
    def capabilities(self) -> Capabilities:
        """Over time only the last three frames count."""
        can = super().capabilities
        return replace(can, reads=KERNEL) if self.config.axes == "time" else can

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        seen = add_noise(context, self.config.noise, self.training)
        last = (seen if self.config.noise_on_last else context)[:, -1:]
        if self.config.axes == "colour":
            return last + cast(Tensor, self.conv(seen))  # frames are channels: (B, T, C, H, W) -> (B, 1, C, H, W)
        recent = F.pad(seen, (0, 0, 0, 0, 0, 0, KERNEL, 0))[:, -KERNEL:]  # black where the context is shorter
        return last + cast(Tensor, self.conv(recent.transpose(1, 2))).transpose(1, 2)
