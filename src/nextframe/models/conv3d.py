"""Conv3d: a 3D convolution over time and space predicts the change."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, cast

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.models.bases.one_step import DisturbedConfig, OneStep, disturbed
from nextframe.models.contract import Capabilities, ModelConfig

KERNEL = 3


class Conv3dConfig(DisturbedConfig):
    """Fields of `conv3d`."""

    noise: float = Field(0.0, ge=0, description="standard deviation of the noise on the context while training")


class Conv3dModel(OneStep):
    """The last frame plus a 3x3x3 convolution of the context; 246 parameters.

    Its axes are time, height and width, with colours as channels; its last position, which sees three frames, is the
    output.
    """

    Config: ClassVar[type[ModelConfig]] = Conv3dConfig
    config: Conv3dConfig
    idea: ClassVar[str] = "Adds a 3x3x3 convolution of the context, over time and space, to the last frame."
    when = "To compare with the notebook of cat GIFs."
    paper: ClassVar[str] = "After the catz notebook, W&B 2019"

    def __init__(self, config: Conv3dConfig) -> None:
        super().__init__(config)
        self.conv = self.convolution()
        nn.init.xavier_uniform_(self.conv.weight)
        nn.init.zeros_(cast(Tensor, self.conv.bias))

    def convolution(self) -> nn.Conv3d:
        """Return the network: one convolution."""
        return nn.Conv3d(self.config.channels, self.config.channels, KERNEL, padding=(0, 1, 1))

    @property
    def capabilities(self) -> Capabilities:
        """Only the last three frames count."""
        return replace(super().capabilities, reads=KERNEL)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        return context[:, -1:] + self.change(disturbed(context, self.config, self.training))

    def change(self, frames: Tensor) -> Tensor:
        """Return the convolution's output for frames (B, T, C, H, W): (B, 1, C, H, W)."""
        recent = F.pad(frames, (0, 0, 0, 0, 0, 0, KERNEL, 0))[:, -KERNEL:]  # black if the context is shorter
        return cast(Tensor, self.conv(recent.transpose(1, 2))).transpose(1, 2)
