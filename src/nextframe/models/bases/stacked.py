"""The base of recurrent models that stack convolutional cells, with layer norm or without, on folded frames."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from nextframe.models.bases.one_size import OneSizeConfig, OneSizeRecurrent
from nextframe.models.contract import ModelConfig


class StackedConfig(OneSizeConfig):
    """Fields that all of them have; the size of frames matters to layer norm alone."""

    norm: bool = Field(False, description="layer norm after the convolutions of the gates; then frames have one size")


class StackedRecurrent(OneSizeRecurrent):
    """Any size without layer norm; with it, frames of another size than the config's are refused."""

    Config: ClassVar[type[ModelConfig]] = StackedConfig
    config: StackedConfig

    @property
    def one_size(self) -> bool:
        """Whether there is layer norm."""
        return self.config.norm

    @property
    def normed(self) -> tuple[int, int] | None:
        """Rows and columns of the maps that layer norm is for; None without it."""
        return self.grid if self.config.norm else None
