"""A small direct predictor for the quickstart: one pass over folded space and folded time gives every future frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, cast

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip, last_frame_stays
from nextframe.layers.dense_mix import DenseGate, along_rows, start_near_zero
from nextframe.layers.grid import pad_to_multiple, places
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

    @field_validator("kernel", "reach")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that a kernel has a middle")
        return value


class LineMixer(nn.Module):
    """A long vertical depthwise kernel, then a long horizontal one: a large receptive field at little cost.

    The horizontal one is a vertical one on the transposed grid: oneDNN runs (k, 1) several times faster than (1, k).
    """

    def __init__(self, width: int, reach: int) -> None:
        super().__init__()
        shape, padding = (reach, 1), (reach // 2, 0)
        self.vertical = nn.Conv2d(width, width, shape, padding=padding, groups=width)
        self.horizontal = nn.Conv2d(width, width, shape, padding=padding, groups=width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix positions of x (B, D, h, w) along columns, then rows."""
        return self.by_products(x) if x.is_cuda else self.by_kernels(x)

    def by_kernels(self, x: Tensor) -> Tensor:
        """Mix by depthwise convolutions."""
        columns = self.vertical(x.contiguous(memory_format=torch.channels_last))
        turned = columns.transpose(2, 3).contiguous(memory_format=torch.channels_last)  # (B, D, w, h)
        return cast(Tensor, self.horizontal(turned)).transpose(2, 3)

    def by_products(self, x: Tensor) -> Tensor:
        """Mix by products of matrices: the same values, several times faster on a GPU, above all backwards."""
        for kernels in (self.vertical, self.horizontal):
            bias = cast(Tensor, kernels.bias)[:, None, None]
            x = (along_rows(x, kernels.weight) + bias).transpose(2, 3)
        return x


class MixBlock(nn.Module):
    """Mix positions within each channel, then channels within each position; the result is added to the input.

    The last layer starts near zero, so the block starts as the identity. After ConvNeXt (Liu et al. 2022). A gated
    block multiplies two halves of `width` instead of bending 2 * `width` channels: products relate where things are
    to how they move (Memisevic 2013), at three quarters of the arithmetic.
    """

    def __init__(self, width: int, places: nn.Module, gated: bool = False) -> None:
        super().__init__()
        self.places = places
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, 2 * width)
        self.bend = product_of_halves if gated else F.gelu
        self.reduce = nn.Linear(width if gated else 2 * width, width)
        start_near_zero(self.reduce)

    def forward(self, x: Tensor) -> Tensor:
        """Mix x (B, D, h, w)."""
        hidden = self.norm(self.places(x).permute(0, 2, 3, 1))  # (B, h, w, D)
        mixed = self.reduce(self.bend(self.expand(hidden)))
        return x + cast(Tensor, mixed).permute(0, 3, 1, 2)


def product_of_halves(x: Tensor) -> Tensor:
    """Return the product of the halves of the last axis."""
    first, second = x.chunk(2, dim=-1)
    return first * second


class ProductStem(nn.Module):
    """A convolution, and beside it products of pairs of convolutions: what moved where between the frames folded in.

    Energies of motion are products of filters (Adelson & Bergen 1985); sums alone learn them slowly.
    """

    def __init__(self, fold: int, width: int, pairs: int) -> None:
        super().__init__()
        self.plain = nn.Conv2d(fold, width, 3, padding=1)
        self.pairs = nn.Conv2d(fold, 2 * pairs, 3, padding=1)
        self.mix = nn.Conv2d(pairs, width, 1)
        nn.init.normal_(self.mix.weight, std=1e-2)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, width, h, w) of folded frames (B, fold, h, w)."""
        first, second = self.pairs(x).chunk(2, dim=1)
        return cast(Tensor, self.plain(x) + self.mix(first * second))


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
    """Return block `index`: dense squares and lines alternate, or those of `_mixer`."""
    if config.dense and index % 2 == 0:
        return DenseGate(config.width, config.kernel)
    return MixBlock(config.width, _mixer(config, index), config.gated)


def _mixer(config: CompactConfig, index: int) -> nn.Module:
    """Return the spatial mixer of block `index`: square and line kernels alternate, near and far."""
    if index % 2:
        return LineMixer(config.width, config.reach)
    return nn.Conv2d(config.width, config.width, config.kernel, padding=config.kernel // 2, groups=config.width)
