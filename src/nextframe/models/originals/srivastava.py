"""The LSTM encoder-decoders of Srivastava, Mansimov & Salakhutdinov (2015), by their own sums and start."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from nextframe.models.composite_lstm import CompositeLSTM, CompositeLSTMConfig
from nextframe.models.contract import ModelConfig


class SrivastavaCompositeConfig(CompositeLSTMConfig):
    """Fields of `srivastava-composite`; the defaults are the original's network for Moving MNIST."""

    start: float | None = Field(0.01, gt=0)
    forget_bias: float = 0.0
    kl_weight: float = Field(1.0, ge=0)  # of sums


class SrivastavaComposite(CompositeLSTM):
    """The loss is a sum over pixels, frames and clips; matrices start uniform in +-0.01, all biases at zero."""

    Config: ClassVar[type[ModelConfig]] = SrivastavaCompositeConfig
    original_of: ClassVar[str] = "composite-lstm"
    idea: ClassVar[str] = "`composite-lstm` as the original has it: a loss summed over clips and frames, a small start."
    paper: ClassVar[str] = "Srivastava, Mansimov & Salakhutdinov 2015, arXiv 1502.04681"

    def reduced(self, summed: Tensor, mean: Tensor) -> Tensor:
        """Return the sum over everything."""
        return summed
