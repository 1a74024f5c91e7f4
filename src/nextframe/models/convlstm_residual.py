"""Convlstm-residual: one ConvLSTM layer reads the frames, a convolution predicts the change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from pydantic import Field
from torch import Tensor

from nextframe.layers.convlstm import ConvLSTMLayer
from nextframe.layers.lstm import Activation, Gate
from nextframe.models.bases.one_step import DisturbedConfig, OneStep, disturbed, keras_conv
from nextframe.models.contract import Capabilities, ModelConfig, Request
from nextframe.models.rollout import Block, roll_on


class ConvLSTMResidualConfig(DisturbedConfig):
    """Fields of `convlstm-residual`."""

    context: int = Field(5, ge=1, description="context frames while it is trained; it takes any number, from one on")
    hidden: int = Field(6, ge=1, description="hidden maps of the layer")
    activation: Activation = Field("tanh", description="function of the candidate and of the output")
    gate: Gate = Field("hard_sigmoid", description="how gates are squashed; hard_sigmoid is Keras 2's default")


class ConvLSTMResidual(OneStep):
    """The last frame plus a convolution of a ConvLSTM layer's last hidden map; 1,968 + 165 parameters.

    The layer reads frames one after another, so the same weights take any number of them.
    """

    Config: ClassVar[type[ModelConfig]] = ConvLSTMResidualConfig
    config: ConvLSTMResidualConfig
    idea: ClassVar[str] = (
        "One convolutional LSTM layer reads the context; a convolution adds a change to the last frame."
    )
    when = "To compare with the notebook of cat GIFs."
    paper: ClassVar[str] = "catz notebook, W&B 2019; ConvLSTM: Shi et al. 2015, arXiv 1506.04214"

    def __init__(self, config: ConvLSTMResidualConfig) -> None:
        super().__init__(config)
        self.lstm = ConvLSTMLayer(config.channels, config.hidden, 3, config.activation, config.gate)
        self.out = keras_conv(config.hidden, config.channels, 3)

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any context from one frame on; the frame in the middle of two, if that is what it was made for."""
        return Capabilities(channels=self.config.channels, interpolates=self.config.context == 2)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Roll the one-step prediction out: each frame from as many as were given, or as it was trained on if more."""
        return roll_on(self.next_frame, request.context, request.horizon, least=self.config.context)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W), not clamped, of a context (B, T, C, H, W), T >= 1."""
        return context[:, -1:] + self.change(disturbed(context, self.config, self.training))

    def change(self, frames: Tensor) -> Tensor:
        """Return the network's output for frames (B, T, C, H, W): (B, 1, C, H, W)."""
        maps, _ = self.lstm(frames)
        change: Tensor = self.out(maps[:, -1])
        return change.unsqueeze(1)
