"""Convlstm-residual: one ConvLSTM layer reads the frames, a convolution predicts the change."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from nextframe.layers.convlstm import ConvLSTMLayer
from nextframe.layers.lstm import Activation, Gate
from nextframe.models.bases.one_step import OneStep, OneStepConfig, add_noise, keras_conv
from nextframe.models.contract import ModelConfig


class ConvLSTMResidualConfig(OneStepConfig):
    """Fields of `convlstm-residual`."""

    hidden: int = Field(6, ge=1, description="hidden maps of the layer")
    activation: Activation = Field("tanh", description="function of the candidate and of the output")
    gate: Gate = Field("hard_sigmoid", description="how gates are squashed; hard_sigmoid is Keras 2's default")
    noise: float = Field(0.1, ge=0, description="standard deviation of the noise on the context while training")


class ConvLSTMResidual(OneStep):
    """The last frame plus a convolution of a ConvLSTM layer's last hidden map; 1,968 + 165 parameters."""

    Config: ClassVar[type[ModelConfig]] = ConvLSTMResidualConfig
    config: ConvLSTMResidualConfig
    idea: ClassVar[str] = (
        "One convolutional LSTM layer reads the context; a convolution adds a change to the last frame."
    )
    paper: ClassVar[str] = "catz notebook, W&B 2019; ConvLSTM: Shi et al. 2015, arXiv 1506.04214"

    def __init__(self, config: ConvLSTMResidualConfig) -> None:
        super().__init__(config)
        self.lstm = ConvLSTMLayer(config.channels, config.hidden, 3, config.activation, config.gate)
        self.out = keras_conv(config.hidden, config.channels, 3)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        return context[:, -1:] + self.change(add_noise(context, self.config.noise, self.training))

    def change(self, frames: Tensor) -> Tensor:
        """Return the network's output for frames (B, T, C, H, W): (B, 1, C, H, W)."""
        maps, _ = self.lstm(frames)
        change: Tensor = self.out(maps[:, -1])
        return change.unsqueeze(1)
