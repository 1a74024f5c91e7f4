"""The catz benchmark and the cat-GIF notebook (L. Biewald, Weights & Biases, 2019), with their faults.

All were trained by squared error and ranked by perceptual distance; docs/catz.md lists the faults.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, cast

from torch import Tensor, nn

from nextframe.models.bases.one_step import Loss, disturbed
from nextframe.models.catz_baseline import CatzBaseline, CatzBaselineConfig
from nextframe.models.contract import Capabilities, ModelConfig
from nextframe.models.conv2d import Conv2dConfig, Conv2dModel
from nextframe.models.conv3d import KERNEL, Conv3dConfig, Conv3dModel
from nextframe.models.convlstm_autoencoder import ConvLSTMAutoencoder, ConvLSTMAutoencoderConfig, pool
from nextframe.models.convlstm_residual import ConvLSTMResidual, ConvLSTMResidualConfig

NOTEBOOK, BENCHMARK = "catz notebook, W&B 2019", "catz benchmark, W&B 2019"
LEVELS = 255


class CatzBaselineOriginalConfig(CatzBaselineConfig):
    """Fields of `catz-baseline-original`."""

    loss: Loss = "mse"


class CatzBaselineOriginal(CatzBaseline):
    """The network generates the frame itself, in levels of 0-255, under initial weights made for 0-1.

    Its output goes through a ReLU: a channel whose bias drifts below zero is black for good.
    """

    Config: ClassVar[type[ModelConfig]] = CatzBaselineOriginalConfig
    original_of: ClassVar[str] = "catz-baseline"
    idea: ClassVar[str] = "`catz-baseline` as the benchmark's script has it: levels of 0-255, and a ReLU on the output."
    paper: ClassVar[str] = BENCHMARK

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        return self.painted(context * LEVELS).relu() / LEVELS


class CatzConv2dConfig(Conv2dConfig):
    """Fields of `catz-conv2d`."""

    loss: Loss = "mse"


class CatzConv2d(Conv2dModel):
    """The convolution generates the frame itself, through a ReLU: a channel with a bias below zero stays black."""

    Config: ClassVar[type[ModelConfig]] = CatzConv2dConfig
    original_of: ClassVar[str] = "conv2d"
    idea: ClassVar[str] = "`conv2d` as the notebook has it: it generates the frame itself, through a ReLU."
    paper: ClassVar[str] = NOTEBOOK

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        return self.painted(context).relu()


class CatzConv3dConfig(Conv3dConfig):
    """Fields of `catz-conv3d`."""

    loss: Loss = "mse"


class CatzConv3d(Conv3dModel):
    """The third axis of the convolution is colour, and the frames are its channels; 136 parameters.

    So a colour is predicted from its neighbours in the list red, green, blue, by the same weights for each. The change
    is added to the noisy last frame, so the noise is in the output while training.
    """

    Config: ClassVar[type[ModelConfig]] = CatzConv3dConfig
    original_of: ClassVar[str] = "conv3d"
    idea: ClassVar[str] = "`conv3d` as the notebook has it: over space and the list of colours, frames as channels."
    paper: ClassVar[str] = NOTEBOOK

    def convolution(self) -> nn.Conv3d:
        """Return a convolution over (colour, height, width)."""
        return nn.Conv3d(self.config.context, 1, KERNEL, padding=KERNEL // 2)

    @property
    def capabilities(self) -> Capabilities:
        """Every frame of the context counts."""
        return replace(super().capabilities, reads=None)

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        seen = disturbed(context, self.config, self.training)
        return seen[:, -1:] + self.change(seen)

    def change(self, frames: Tensor) -> Tensor:
        """Return the convolution's output for frames (B, T, C, H, W): (B, 1, C, H, W)."""
        return cast(Tensor, self.conv(frames))


class CatzConvLSTMConfig(ConvLSTMResidualConfig):
    """Fields of `catz-convlstm`."""

    loss: Loss = "mse"


class CatzConvLSTM(ConvLSTMResidual):
    """The change is added to the noisy last frame, so the noise is in the answer while training."""

    Config: ClassVar[type[ModelConfig]] = CatzConvLSTMConfig
    original_of: ClassVar[str] = "convlstm-residual"
    idea: ClassVar[str] = "`convlstm-residual` as the notebook has it: the change is added to the noisy last frame."
    paper: ClassVar[str] = NOTEBOOK

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        seen = disturbed(context, self.config, self.training)
        return seen[:, -1:] + self.change(seen)


class CatzAutoencoderConfig(ConvLSTMAutoencoderConfig):
    """Fields of `catz-autoencoder`."""

    loss: Loss = "mse"


class CatzAutoencoder(ConvLSTMAutoencoder):
    """The head sees the noisy last frame, and of three dropouts two are computed and not used."""

    Config: ClassVar[type[ModelConfig]] = CatzAutoencoderConfig
    original_of: ClassVar[str] = "convlstm-autoencoder"
    idea: ClassVar[str] = "`convlstm-autoencoder` as the notebook has it: noise on the last frame, one dropout."
    paper: ClassVar[str] = NOTEBOOK

    def next_frame(self, context: Tensor) -> Tensor:
        """Return the next frame (B, 1, C, H, W)."""
        seen = disturbed(context, self.config, self.training)
        return self.painted(seen, seen[:, -1])

    def pooled(self, maps: Tensor) -> Tensor:
        """Return maps (B, T, n, h, w) at half their size, nothing dropped."""
        return pool(maps)
