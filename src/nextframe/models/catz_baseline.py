"""Catz-baseline: the starter model of the catz benchmark, a small encoder and decoder."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nextframe.layers.grid import pad_to_multiple
from nextframe.models.bases.one_step import (
    Head,
    OneStep,
    OneStepConfig,
    finish,
    keras_conv,
)
from nextframe.models.contract import ModelConfig

SCALE = {"0-1": 1, "0-255": 255}


class CatzBaselineConfig(OneStepConfig):
    """Fields of `catz-baseline`; the original is levels="0-255", head="relu", loss="mse"."""

    width: int = Field(32, ge=1)
    levels: Literal["0-1", "0-255"] = "0-1"  # the range of frames inside the network
    head: Head = "residual"  # what the last convolution gives: the frame, or the change from the last one


class CatzBaseline(OneStep):
    """Convolution, pooling by 2, convolution, upsampling by 2, convolution; 14,467 parameters."""

    Config: ClassVar[type[ModelConfig]] = CatzBaselineConfig
    config: CatzBaselineConfig
    idea: ClassVar[str] = "A convolution at half the size between two at full size: the benchmark's starter model."
    paper: ClassVar[str] = "catz benchmark, W&B 2019"

    def __init__(self, config: CatzBaselineConfig) -> None:
        super().__init__(config)
        self.first = keras_conv(config.context * config.channels, config.width, 3)
        self.second = keras_conv(config.width, config.width, 3)
        self.last = keras_conv(config.width, config.channels, 3)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W); odd sizes are padded inside."""
        scale = SCALE[self.config.levels]
        maps = self.first(pad_to_multiple(context, 2).flatten(1, 2) * scale).relu()
        maps = self.second(F.max_pool2d(maps, 2)).relu()
        out = self.last(F.interpolate(maps, scale_factor=2, mode="nearest")) / scale
        return finish(out[..., : context.shape[-2], : context.shape[-1]], context, self.config.head)
