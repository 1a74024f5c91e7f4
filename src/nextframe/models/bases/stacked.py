"""The base of recurrent models that stack convolutional cells, with layer norm or without, on folded frames."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from nextframe.core.clip import Task
from nextframe.models.bases.autoencoder import check_size
from nextframe.models.bases.one_size import OneSizeConfig
from nextframe.models.bases.recurrent import RecurrentPredictor
from nextframe.models.contract import Capabilities, ModelConfig


class StackedConfig(OneSizeConfig):
    """Fields that all of them have; the size of frames matters to layer norm alone."""

    norm: bool = Field(False, description="layer norm after the convolutions of the gates; then frames have one size")

    @property
    def grid(self) -> tuple[int, int] | None:
        """Rows and columns of the maps that layer norm is for; None without it."""
        return (-(-self.frame_height // self.patch), -(-self.frame_width // self.patch)) if self.norm else None


class StackedRecurrent(RecurrentPredictor):
    """Any size without layer norm; with it, frames of another size than the config's are refused."""

    Config: ClassVar[type[ModelConfig]] = StackedConfig
    config: StackedConfig

    @property
    def capabilities(self) -> Capabilities:
        """Any context from one frame on; any size without layer norm."""
        return Capabilities(any_size=not self.config.norm, channels=self.config.channels, causal=True)

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Refuse frames of another size than layer norm is for."""
        if self.config.norm:
            check_size(frame_shape, self.config)

    def fold(self, frames: Tensor) -> Tensor:
        """Return frames (..., C, H, W) as the base does; UserError if layer norm is for another size."""
        if self.config.norm:
            check_size(frames.shape, self.config)
        return super().fold(frames)
