"""PhyDNet: what a differential equation can explain moves by one; what is left over moves by a ConvLSTM."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from nextframe.layers.convlstm import ConvLSTMLayer, LayerState
from nextframe.layers.fast_conv import FastConv2d
from nextframe.layers.scheduled_sampling import SamplingConfig
from nextframe.models.bases.recurrent import RecurrentConfig, RecurrentPredictor
from nextframe.models.contract import ModelConfig

GROUPS = 16  # of the group norms of encoders and decoders
FALL = 0.003 / 625  # of the chance of true frames; the public code takes 0.003 an epoch, which has 625 steps


class PhyDNetConfig(RecurrentConfig):
    """Fields of `phydnet`; the defaults are those of the standard protocol of Moving MNIST."""

    patch: Literal[2, 4] = Field(4, description="how much smaller than frames the maps are that move")
    width: int = Field(
        32, ge=GROUPS, multiple_of=GROUPS, description="maps at half size; the moving ones are twice as many"
    )
    kernel: int = Field(7, ge=3, description="side of PhyCell's filters, odd; there is one for each partial derivative")
    hidden: tuple[int, ...] = Field(
        (128, 128, 64), min_length=1, description="maps of each ConvLSTM layer, lowest first"
    )
    sampling: SamplingConfig = Field(
        SamplingConfig(fall=FALL, stop=333 * 625, whole=True), description="when true frames are read while training"
    )

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be odd, so that a filter has a middle")
        return value

    @model_validator(mode="after")
    def _branches_meet(self) -> PhyDNetConfig:
        if self.hidden[-1] != 2 * self.width:
            raise ValueError(f"hidden ends with {self.hidden[-1]}, which must be twice the width, {2 * self.width}")
        return self


class PhyCell(nn.Module):
    """A step of a partial differential equation, and its correction by what is seen, as in a Kalman filter.

    The step adds a learned mixture of k^2 filtered maps; a filter should be a partial derivative of its own, of order
    (i, j) with i, j < k, which is what `moment_error` measures.
    """

    powers: Tensor  # (k, k), row i: the places from the middle to the power of i, over i!

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.filters = nn.Conv2d(width, kernel**2, kernel, padding=kernel // 2)
        self.norm = nn.GroupNorm(kernel, kernel**2)
        self.mix = nn.Conv2d(kernel**2, width, 1)
        self.gain = FastConv2d(2 * width, width, 3, padding=1)
        self.register_buffer("powers", _powers(kernel), persistent=False)

    def forward(self, seen: Tensor, state: Tensor) -> Tensor:
        """Return the state after `state` when `seen` is there; all (B, width, H, W)."""
        moved = state + self.mix(self.norm(self.filters(state)))
        gain = self.gain(torch.cat([seen, state], dim=1)).sigmoid()
        return cast(Tensor, moved + gain * (seen - moved))

    def moments(self) -> Tensor:
        """Return the moments (k^2, width, k, k) of the filters.

        A filter's moment (i, j) is the sum of its weights times y^i x^j / (i! j!), y and x from its middle: the
        factor of the derivative d^(i + j) / dy^i dx^j in what it computes. Long et al. 2018 (PDE-Net).
        """
        weight = self.filters.weight
        with torch.autocast(weight.device.type, enabled=False):  # powers reach hundreds
            return torch.einsum("iy,jx,fcyx->fcij", self.powers, self.powers, weight)

    def moment_error(self) -> Tensor:
        """Return how far filter f is from the derivative number f: squared, a mean over moments, summed over maps."""
        moments = self.moments().flatten(2).transpose(0, 1)  # (width, k^2, k^2)
        wanted = torch.eye(moments.shape[-1], device=moments.device, dtype=moments.dtype)
        return (moments - wanted).square().mean((1, 2)).sum()


@dataclass(frozen=True)
class PhyDNetState:
    """What both branches remember."""

    physics: Tensor  # (B, 2 width, h, w)
    residual: tuple[LayerState, ...]


class PhyDNet(RecurrentPredictor):
    """An encoder's maps are split for two branches, PhyCell and ConvLSTM; a decoder paints the sum of their outcomes.

    The form of OpenSTL, which has no skips from the encoder to the decoder. Its training step takes the loss that the
    model returns for frames, and compares it with the pixels of the target; here, as in the authors' code, that loss
    is what is trained: the squared errors, a mean over each frame, summed over frames, and PhyCell's moment error.
    Whether true frames are read after the context is drawn for each clip, there for each batch. Both codes also paint
    each branch's maps alone in every step, without a use for them; this one does not.
    """

    Config: ClassVar[type[ModelConfig]] = PhyDNetConfig
    idea: ClassVar[str] = "A learned differential equation moves what it can explain, a ConvLSTM the rest."
    when = "To compare with its paper."
    paper: ClassVar[str] = "Le Guen & Thome 2020, arXiv 2003.01460"
    config: PhyDNetConfig
    rate: ClassVar[float] = 1e-3

    def __init__(self, config: PhyDNetConfig) -> None:
        super().__init__(config)
        half, width, stride = config.width, 2 * config.width, config.patch // 2
        self.encoder = nn.Sequential(down(config.channels, half, 2), down(half, half), down(half, width, stride))
        self.physics_encoder, self.residual_encoder = (
            nn.Sequential(down(width, width), down(width, width)) for _ in "pr"
        )
        self.physics = PhyCell(width, config.kernel)
        sizes = zip((width, *config.hidden), config.hidden, strict=False)
        self.residual = nn.ModuleList(ConvLSTMLayer(before, after, 3) for before, after in sizes)
        self.physics_decoder, self.residual_decoder = (nn.Sequential(up(width, width), up(width, width)) for _ in "pr")
        self.decoder = nn.Sequential(up(width, half, 2), up(half, half), enlarge(half, config.channels, stride))

    @property
    def square(self) -> int:
        """Frames are read as they are."""
        return 1

    def start(self, maps: Tensor) -> PhyDNetState:
        """Return zeros."""
        batch, _, height, width = maps.shape
        size = height // self.config.patch, width // self.config.patch
        blank = [maps.new_zeros(batch, count, *size) for count in (2 * self.config.width, *self.config.hidden)]
        return PhyDNetState(blank[0], tuple((zeros, zeros) for zeros in blank[1:]))

    def advance(self, state: PhyDNetState, maps: Tensor) -> tuple[Tensor, PhyDNetState]:
        """Read the padded frame `maps` (B, C, H, W); return the next one and the new state."""
        seen = self.encoder(maps)
        physics = self.physics(self.physics_encoder(seen), state.physics)
        x, layers = self.residual_encoder(seen).unsqueeze(1), []
        for layer, before in zip(self.residual, state.residual, strict=True):
            x, after = layer(x, before)
            layers.append(after)
        both = self.physics_decoder(physics) + self.residual_decoder(x.squeeze(1))
        return self.decoder(both).sigmoid(), PhyDNetState(physics, tuple(layers))

    def errors(self, following: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Return the squared error of frames (B, T, C, H, W): a mean over each frame, summed over frames."""
        return {"summed_mse": following.shape[1] * F.mse_loss(following, true)}

    def penalty(self, state: PhyDNetState) -> Tensor:
        """Return PhyCell's moment error."""
        return self.physics.moment_error()


def down(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution that makes maps smaller by `stride`, with its norm and activation."""
    return normed(FastConv2d(inputs, outputs, 3, stride, padding=1))


def up(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """Return what `down` does, turned round: maps grow by `stride`."""
    return normed(enlarge(inputs, outputs, stride))


def enlarge(inputs: int, outputs: int, stride: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution that makes maps larger by `stride`, 1 or 2."""
    return nn.ConvTranspose2d(inputs, outputs, 3, stride, padding=1, output_padding=stride - 1)


def normed(layer: nn.Conv2d | nn.ConvTranspose2d) -> nn.Sequential:
    """Return `layer` with a group norm and leaky ReLU after it."""
    return nn.Sequential(layer, nn.GroupNorm(GROUPS, layer.out_channels), nn.LeakyReLU(0.2))


def _powers(kernel: int) -> Tensor:
    places = torch.arange(kernel, dtype=torch.get_default_dtype()) - kernel // 2
    return torch.stack([places**order / factorial(order) for order in range(kernel)])
