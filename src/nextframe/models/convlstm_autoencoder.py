"""Convlstm-autoencoder: ConvLSTM layers down to a quarter of the size and back, plus the last frame."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.layers.batch_norm import BatchNorm2d
from nextframe.layers.convlstm import ConvLSTMLayer
from nextframe.layers.grid import pad_to_multiple
from nextframe.layers.lstm import Activation, Gate
from nextframe.models.bases.one_step import DisturbedConfig, OneStep, disturbed, keras_conv
from nextframe.models.contract import ModelConfig


class ConvLSTMAutoencoderConfig(DisturbedConfig):
    """Fields of `convlstm-autoencoder`."""

    width: int = Field(4, ge=1, description="hidden maps at full size; twice as many at half, four times at a quarter")
    activation: Activation = Field("tanh", description="function of the candidate and of the output")
    gate: Gate = Field("hard_sigmoid", description="how gates are squashed; hard_sigmoid is Keras 2's default")
    dropout: float = Field(0.2, ge=0, lt=1, description="before both poolings, and after the skip connection is added")


class ConvLSTMAutoencoder(OneStep):
    """ConvLSTM layers around two poolings, with one skip connection; 45,768 numbers with running statistics.

    The head is a 1x1 convolution of the last frame and the decoder's maps together.
    """

    Config: ClassVar[type[ModelConfig]] = ConvLSTMAutoencoderConfig
    config: ConvLSTMAutoencoderConfig
    idea: ClassVar[str] = "An auto-encoder of convolutional LSTM layers, two halvings deep, plus the last frame."
    when = "To compare with the notebook of cat GIFs; slow to train."
    paper: ClassVar[str] = "catz notebook, W&B 2019; ConvLSTM: Shi et al. 2015, arXiv 1506.04214"

    def __init__(self, config: ConvLSTMAutoencoderConfig) -> None:
        super().__init__(config)
        n = config.width

        def layer(before: int, after: int) -> ConvLSTMLayer:
            return ConvLSTMLayer(before, after, 3, config.activation, config.gate)

        self.down1, self.norm1 = layer(config.channels, n), _norm(n)
        self.down2, self.norm2 = layer(n, 2 * n), _norm(2 * n)
        self.middle = layer(2 * n, 4 * n)
        self.up1, self.norm3 = layer(4 * n, 4 * n), _norm(4 * n)
        self.up2, self.norm4 = layer(4 * n, 2 * n), _norm(2 * n)
        self.up3, self.norm5 = layer(2 * n, n), _norm(n)
        self.head = keras_conv(config.channels + n, config.channels, 1)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        return self.painted(disturbed(context, self.config, self.training), context[:, -1])

    def painted(self, seen: Tensor, last: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W) of the frames `seen` (B, T, C, H, W) and the last one.

        Sizes that 4 does not divide are padded inside.
        """
        maps = self._decode(*self._encode(pad_to_multiple(seen, 4)))[..., : seen.shape[-2], : seen.shape[-1]]
        frame: Tensor = self.head(torch.cat([last, maps], dim=1))
        return frame.unsqueeze(1)

    def _encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps at half size (B, T, 2n, h/2, w/2), for the skip, and at a quarter (B, T, 4n, h/4, w/4)."""
        full = _per_frame(self.norm1, self.down1(frames)[0])
        half = _per_frame(self.norm2, self.down2(self.pooled(full))[0])
        return half, self.middle(self.pooled(half))[0]

    def _decode(self, half: Tensor, quarter: Tensor) -> Tensor:
        """Return the last frame's maps at full size (B, n, h, w)."""
        maps = _per_frame(self.norm3, self.up1(_double(quarter))[0])
        maps = _per_frame(self.norm4, self.up2(maps)[0]) + half
        maps = F.dropout(maps, self.config.dropout, self.training)
        last: Tensor = self.up3(_double(maps))[0][:, -1]
        normed: Tensor = self.norm5(last)
        return normed

    def pooled(self, maps: Tensor) -> Tensor:
        """Return maps (B, T, n, h, w) at half their size."""
        return pool(F.dropout(maps, self.config.dropout, self.training))


def _norm(width: int) -> BatchNorm2d:
    """Keras's batch norm: momentum 0.99, which torch writes 0.01, and epsilon 1e-3."""
    return BatchNorm2d(width, eps=1e-3, momentum=0.01)


def _per_frame(layer: nn.Module, maps: Tensor) -> Tensor:
    """Apply a layer for images to every frame of maps (B, T, n, h, w)."""
    out: Tensor = layer(maps.flatten(0, 1))
    return out.view(*maps.shape[:2], *out.shape[1:])


def pool(maps: Tensor) -> Tensor:
    """Return the largest of each 2x2 pixels of maps (B, T, n, h, w)."""
    return F.max_pool3d(maps, (1, 2, 2))


def _double(maps: Tensor) -> Tensor:
    """Repeat every row and column of maps (B, T, n, h, w)."""
    return maps.repeat_interleave(2, -2).repeat_interleave(2, -1)
