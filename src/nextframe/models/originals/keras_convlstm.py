"""The Keras example "Next-Frame Video Prediction with Convolutional LSTMs" (A. Joshi, 2021), its leak included."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nextframe.layers.convlstm import ConvLSTMLayer
from nextframe.layers.lstm import Gate
from nextframe.models.contract import Capabilities, ModelConfig
from nextframe.models.convlstm import ConvLSTM, ConvLSTMConfig


class KerasConvLSTMConfig(ConvLSTMConfig):
    """Settings of `KerasConvLSTM`; the defaults are exactly the example's network."""

    gate: Gate = Field("sigmoid", description="how gates are squashed; Keras 2 by itself takes hard_sigmoid")


class KerasConvLSTM(ConvLSTM):
    """`convlstm` with a head that is padded on both sides in time, so that it sees the very frame it must predict.

    That is so in training; at the end of a sequence, where a prediction is made, it sees zeros in that place.
    """

    Config: ClassVar[type[ModelConfig]] = KerasConvLSTMConfig
    config: KerasConvLSTMConfig
    original_of: ClassVar[str] = "convlstm"
    idea: ClassVar[str] = "`convlstm` as the Keras example has it: in training the head sees the frame it must predict."
    paper: ClassVar[str] = "keras.io/examples/vision/conv_lstm, A. Joshi 2021"

    def layer(self, before: int, after: int, kernel: int) -> ConvLSTMLayer:
        """Return a layer with the gates of the config."""
        return ConvLSTMLayer(before, after, kernel, self.config.activation, self.config.gate)

    @property
    def capabilities(self) -> Capabilities:
        """As `convlstm`, but not causal over a whole sequence."""
        return Capabilities(channels=self.config.channels)

    def window(self, maps: Tensor) -> Tensor:
        """Return the maps one frame on: the leak."""
        return F.pad(maps[:, 1:], (0, 0, 0, 0, 0, 0, 0, 1))
