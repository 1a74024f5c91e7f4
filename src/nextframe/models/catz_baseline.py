"""Catz-baseline: the starter model of the catz benchmark, a small encoder and decoder."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nextframe.layers.grid import pad_to_multiple
from nextframe.models.bases.one_step import OneStep, OneStepConfig, keras_conv
from nextframe.models.contract import ModelConfig


class CatzBaselineConfig(OneStepConfig):
    """Fields of `catz-baseline`."""

    width: int = Field(32, ge=1, description="channels of the hidden layers")


class CatzBaseline(OneStep):
    """The last frame plus convolution, pooling by 2, convolution, upsampling by 2, convolution; 14,467 parameters."""

    Config: ClassVar[type[ModelConfig]] = CatzBaselineConfig
    config: CatzBaselineConfig
    idea: ClassVar[str] = "A convolution at half the size between two at full size: the benchmark's starter model."
    when = "To compare with the catz benchmark."
    paper: ClassVar[str] = "After the catz benchmark, W&B 2019"

    def __init__(self, config: CatzBaselineConfig) -> None:
        super().__init__(config)
        self.first = keras_conv(config.context * config.channels, config.width, 3)
        self.second = keras_conv(config.width, config.width, 3)
        self.last = keras_conv(config.width, config.channels, 3)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        return context[:, -1:] + self.painted(context)

    def painted(self, context: Tensor) -> Tensor:
        """Return the network's output for a context, (B, 1, C, H, W); odd sizes are padded inside."""
        maps = self.first(pad_to_multiple(context, 2).flatten(1, 2)).relu()
        maps = self.second(F.max_pool2d(maps, 2)).relu()
        out: Tensor = self.last(F.interpolate(maps, scale_factor=2, mode="nearest"))
        return out[..., : context.shape[-2], : context.shape[-1]].unsqueeze(1)
