"""A small direct predictor for the quickstart: one pass over folded space and folded time gives every future frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip, last_frame_stays
from nextframe.core.config import odd_side
from nextframe.layers.dense_mix import DenseGate, start_near_zero
from nextframe.layers.grid import pad_to_multiple, places
from nextframe.layers.mixing import ProductStem, mix_block
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import Block, roll_on


class CompactConfig(ModelConfig):
    """Fields of `compact`; the defaults are those of the quickstart."""

    context: int = Field(10, ge=1, description="context frames, exactly")
    horizon: int = Field(10, ge=1, description="frames of one pass; longer requests are rolled out")
    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    patch: int = Field(4, ge=1, description="side of the square of pixels that is folded into channels")
    width: int = Field(64, ge=1, description="channels of the hidden layers")
    blocks: int = Field(10, ge=1, description="how many mixing blocks")
    kernel: int = Field(5, ge=1, description="side of the square kernels, in patches, odd")
    reach: int = Field(15, ge=1, description="length of the line kernels, in patches, odd")
    residual: bool = Field(
        False, description="predict the change from the last frame; where a run does not say, its clips decide"
    )
    gated: bool = Field(False, description="blocks multiply two hidden halves instead of bending one by GELU")
    pairs: int = Field(0, ge=0, description="products of two convolutions that the stem adds: energies of motion")
    dense: bool = Field(
        False, description="square kernels are over all channels, and multiplied in pairs: for a GPU, kernel=3"
    )

    _odd = field_validator("kernel", "reach")(odd_side)


class Compact(Predictor):
    """Context frames folded into channels, a few mixing blocks on the coarse grid, all future frames unfolded."""

    Config = CompactConfig
    config: CompactConfig
    idea: ClassVar[str] = "Fold space and time into channels, mix on a coarse grid, predict every frame at once."
    when = "Your own videos, or digits, in minutes of a laptop or a GPU."
    paper: ClassVar[str] = "After SimVP (Gao et al., CVPR 2022) and ConvNeXt (Liu et al., CVPR 2022)"
    from_clips: ClassVar = {"residual": last_frame_stays}  # it starts near the last frame, or near black

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config)
        fold = config.channels * config.patch**2
        width, pairs = config.width, config.pairs
        inputs = config.context * fold + 2  # and where each patch is
        self.stem = ProductStem(inputs, width, pairs) if pairs else nn.Conv2d(inputs, width, 3, padding=1)
        self.blocks = nn.Sequential(*(_block(config, n) for n in range(config.blocks)))
        self.norm = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, config.horizon * fold)
        start_near_zero(self.head)  # near the last frame, or near black

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the configured context and channels; any size, any horizon."""
        return Capabilities.exactly(self.config.context, self.config.channels)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Predict in passes of `config.horizon` frames, each on the frames before it."""
        return roll_on(self.next_frames, request.context, request.horizon)

    def next_frames(self, context: Tensor) -> Tensor:
        """Return the next `config.horizon` frames (B, horizon, C, H, W), not clamped, of a (B, T, C, H, W) context."""
        height, width = context.shape[3:]
        frames = pad_to_multiple(context, self.config.patch)
        folded = F.pixel_unshuffle(frames.flatten(1, 2), self.config.patch)  # (B, T*C*p*p, h, w)
        folded = torch.cat([folded, places(folded)], dim=1).contiguous(memory_format=torch.channels_last)
        hidden = self.norm(self.blocks(self.stem(folded)).permute(0, 2, 3, 1))  # (B, h, w, D)
        out = unshuffled(self.head(hidden), self.config.patch)
        future = out.reshape(-1, self.config.horizon, self.config.channels, *out.shape[2:])[..., :height, :width]
        return future + context[:, -1:] if self.config.residual else future

    def stages(self) -> list[Stage]:
        """One stage, one objective: the mean squared error of the frames of one pass.

        What starts at the last frame has little to change: at the rate of what paints from black it learns a few videos
        by heart, and is worse than the last frame on all others (44 videos, 600 steps: 3 % worse at 0.02 than at 1e-3).
        """
        optimizer = OptimizerDefaults("muon", lr=1e-3 if self.config.residual else 0.02, betas=(0.9, 0.99))
        return [Stage("predict", [Objective("mse", list(self.parameters()), self._loss, optimizer)])]

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        frames = min(clip.horizon, self.config.horizon)
        future = self.next_frames(clip.context)[:, :frames]
        loss = F.mse_loss(future, clip.target[:, :frames])
        return loss, {"loss": loss.detach()}


def unshuffled(channels: Tensor, patch: int) -> Tensor:
    """Return (B, D, h p, w p) of squares (B, h, w, D p p), values and order being those of `F.pixel_shuffle`.

    torch.compile (2.13) expects other strides of that function's result than it has, and backwards fails.
    """
    batch, height, width = channels.shape[:3]
    squares = channels.reshape(batch, height, width, -1, patch, patch).permute(0, 3, 1, 4, 2, 5)
    return squares.reshape(batch, -1, height * patch, width * patch)


def _block(config: CompactConfig, index: int) -> nn.Module:
    """Return block `index`: dense squares and lines alternate, or square and line kernels of each channel."""
    if config.dense and index % 2 == 0:
        return DenseGate(config.width, config.kernel)
    return mix_block(config.width, config.kernel, config.reach, index, config.gated)
