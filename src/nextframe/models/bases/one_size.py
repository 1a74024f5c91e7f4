"""The base of recurrent models with weights for every position of the grid: they take frames of one size."""

from __future__ import annotations

from pydantic import Field, field_validator
from torch import Tensor

from nextframe.core.clip import Task
from nextframe.core.config import odd_side
from nextframe.models.bases.autoencoder import check_size
from nextframe.models.bases.recurrent import RecurrentConfig, RecurrentPredictor
from nextframe.models.contract import Capabilities


class OneSizeConfig(RecurrentConfig):
    """Fields that all of them have; the defaults are those of the standard protocol of Moving MNIST."""

    hidden: int = Field(128, ge=1, description="channels of every map")
    layers: int = Field(4, ge=1, description="how many layers are on top of one another")
    kernel: int = Field(5, ge=1, description="side of the square kernels, in positions of the maps, odd")
    frame_height: int = Field(64, ge=1, description="height of a frame in pixels")
    frame_width: int = Field(64, ge=1, description="width of a frame in pixels")

    _odd = field_validator("kernel")(odd_side)


class OneSizeRecurrent(RecurrentPredictor):
    """A recurrent model for frames of one size; others are refused."""

    config: OneSizeConfig

    @property
    def one_size(self) -> bool:
        """Whether frames of another size than the config's are refused."""
        return True

    @property
    def capabilities(self) -> Capabilities:
        """Any context from one frame on."""
        return Capabilities(any_size=not self.one_size, channels=self.config.channels, causal=True)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of a folded frame."""
        sides = (self.config.frame_height, self.config.frame_width)
        rows, columns = (-(-side // self.multiple) * self.multiple // self.config.patch for side in sides)
        return rows, columns

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Refuse frames of another size."""
        if self.one_size:
            check_size(frame_shape, self.config)

    def fold(self, frames: Tensor) -> Tensor:
        """Return frames (..., C, H, W), padded, as maps (..., D, h, w); other sizes are refused."""
        if self.one_size:
            check_size(frames.shape, self.config)
        return super().fold(frames)
