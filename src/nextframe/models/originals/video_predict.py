"""The public code tencia/video_predict (2016), with its faults; docs/latent.md lists them."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import nn

from nextframe.layers.latent_heads import HeadName
from nextframe.layers.lstm import LasagneLSTM
from nextframe.models.bases.autoencoder import Part
from nextframe.models.contract import ModelConfig
from nextframe.models.latent_lstm import LatentLSTM, LatentLSTMConfig, LatentState
from nextframe.models.vcae import VCAE

SOURCE = "tencia/video_predict (2016)"


class TenciaVCAE(VCAE):
    """An output matrix for each draw of a latent, by mistake; the first generates the frames. 403 M parameters."""

    original_of: ClassVar[str] = "vcae"
    idea: ClassVar[str] = "`vcae` as the public code has it: an output matrix for each of two draws, by mistake."
    paper: ClassVar[str] = SOURCE

    @property
    def outputs(self) -> int:
        """How many last dense layers the decoder has: one a draw."""
        return self.config.samples

    def output(self, draw: int) -> nn.Module:
        """Return the last dense layer of draw number `draw`."""
        return self.decoder_outputs[draw]


class TenciaLatentLSTMConfig(LatentLSTMConfig):
    """Settings of `TenciaLatentLSTM`; the defaults are the public code's."""

    autoencoder: Part = Part(name="tencia-vcae")
    hidden: tuple[int, ...] = Field((1024, 1024), min_length=1)
    dropout: float = Field(0.3, ge=0, lt=1)
    weight_std: float | None = Field(
        0.1, gt=0, description="standard deviation of all LSTM weights before training; None: by their size"
    )
    forget_bias: float = 0.0
    gate_clip: float | None = Field(10.0, gt=0, description="bound of the gradient at the gates")
    head: HeadName = "kl"
    feedback: bool = False
    optimizer: Literal["adam", "muon"] = "adam"
    lr: float = Field(1e-4, gt=0)


class TenciaLatentLSTM(LatentLSTM):
    """The state is lost: it is reset at every fed-back frame, so each is predicted from one frame alone."""

    Config: ClassVar[type[ModelConfig]] = TenciaLatentLSTMConfig
    config: TenciaLatentLSTMConfig
    original_of: ClassVar[str] = "latent-lstm"
    idea: ClassVar[str] = "`latent-lstm` as the public code has it: the state is reset at every fed-back frame."
    paper: ClassVar[str] = SOURCE

    def layer(self, before: int, after: int) -> LasagneLSTM:
        """Return a layer that starts as Lasagne's do, with a bounded gradient at its gates."""
        config = self.config
        return LasagneLSTM(before, after, config.weight_std, config.forget_bias, config.gate_clip)

    def carried(self, state: LatentState) -> LatentState:
        """Return a new state: it is reset after each point."""
        return LatentState()
