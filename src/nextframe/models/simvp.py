"""SimVP: convolutions see each frame, a translator turns all that is seen into the future, convolutions paint it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Self

import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip, Task
from nextframe.layers.grid import pad_to_multiple
from nextframe.layers.translators.blocks import near_zero
from nextframe.layers.translators.stack import Name, TranslatorPlan, build_translator, check_widths
from nextframe.models.bases.autoencoder import check_size
from nextframe.models.contract import Capabilities, ModelConfig, Objective, OptimizerDefaults, Predictor, Request, Stage
from nextframe.models.rollout import Block, roll_on, roll_out


class SimVPConfig(ModelConfig):
    """Fields of `simvp`; the defaults are those of the standard protocol of Moving MNIST."""

    context: int = Field(10, ge=1, description="context frames, exactly; one pass predicts as many")
    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    translator: Name = Field("gsta", description="incepu: SimVP v1; gsta: v2; the others are those of OpenSTL")
    encoder_width: int = Field(64, ge=2, multiple_of=2, description="channels of a frame's maps, even")
    encoder_layers: int = Field(
        4, ge=2, multiple_of=2, description="convolutions of encoder and decoder, even; every second changes the size"
    )
    encoder_kernel: int = Field(3, ge=1, description="side of the encoder's kernels, odd")
    decoder_kernel: int = Field(3, ge=1, description="side of the decoder's kernels, odd")
    width: int = Field(512, ge=1, description="channels inside the translator")
    blocks: int = Field(8, ge=2, description="blocks of the translator; incepu: down, and as many up")
    ratio: float = Field(
        8.0, ge=1, description="hidden channels of a feed-forward layer for each channel; incepu, convmixer: unused"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout; unused by incepu, convmixer, convnext and hornet, as in OpenSTL"
    )
    drop_path: tuple[float, float] = Field(
        (0.01, 0.0), description="chance to skip a branch in training: in the first block, in the last"
    )
    window: int = Field(4, ge=2, description="swin: side of the squares that attend, in places of the coarse grid")
    frame_height: int = Field(64, ge=1, description="mlp-mixer: height of a frame in pixels")
    frame_width: int = Field(64, ge=1, description="mlp-mixer: width of a frame in pixels")

    @property
    def stride(self) -> int:
        """Pixels a place of the coarse grid is wide and high."""
        return int(2 ** (self.encoder_layers // 2))

    @property
    def multiple(self) -> int:
        """Pixels that the sides of frames are padded to multiples of."""
        return self.stride * (self.window if self.translator == "swin" else 1)

    def plan(self) -> TranslatorPlan:
        """Return what the translator is made for."""
        return TranslatorPlan(
            name=self.translator,
            maps=self.context * self.encoder_width,
            width=self.width,
            blocks=self.blocks,
            ratio=self.ratio,
            dropout=self.dropout,
            drop_path=self.drop_path,
            grid=(-(-self.frame_height // self.stride), -(-self.frame_width // self.stride)),
            window=self.window,
        )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not self.encoder_kernel % 2 or not self.decoder_kernel % 2:
            raise ValueError("encoder_kernel and decoder_kernel must be odd, so that a kernel has a middle")
        if not all(0 <= rate < 1 for rate in self.drop_path):
            raise ValueError("drop_path must be two chances from 0 to below 1")
        check_widths(self.plan())
        return self


class Encoder(nn.Module):
    """Convolutions over each frame, every second of which halves it."""

    def __init__(self, config: SimVPConfig) -> None:
        super().__init__()
        width, kernel = config.encoder_width, config.encoder_kernel
        layers = range(1, config.encoder_layers)
        self.first = _layer(config.channels, width, kernel)
        self.rest = nn.Sequential(*(_layer(width, width, kernel, stride=1 + index % 2) for index in layers))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return maps of frames (N, C, H, W) on the coarse grid, (N, D, h, w), and on the fine one, (N, D, H, W)."""
        fine = self.first(frames)
        return self.rest(fine), fine


class Decoder(nn.Module):
    """The encoder backwards: every second convolution doubles the size, and the last also reads the fine maps."""

    def __init__(self, config: SimVPConfig) -> None:
        super().__init__()
        width, kernel = config.encoder_width, config.decoder_kernel
        *first, self.last = (
            _layer(width, width, kernel, double=index % 2 == 0) for index in range(config.encoder_layers)
        )
        self.first = nn.Sequential(*first)
        self.paint = nn.Conv2d(width, config.channels, 1)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Return frames (N, C, H, W) of coarse maps (N, D, h, w) and fine ones (N, D, H, W)."""
        frames: Tensor = self.paint(self.last(self.first(coarse) + fine))
        return frames


class SimVP(Predictor):
    """As many frames as there are context frames, in one pass, and nothing recurrent.

    OpenSTL's form is followed. Its drop-path rates fall, or rise, from 0.01 in the first block to the configured one
    in the last, so that one of 0 still skips some branches. Longer requests feed whole passes back as they are, in
    training too; of shorter ones the first frames are taken. Frames are padded to the stride of the encoder, and for
    swin to whole windows.
    """

    Config = SimVPConfig
    config: SimVPConfig
    idea: ClassVar[str] = "Encode frames, translate all of them at once to the future, decode; nothing recurrent."
    when = "The first of the published networks to try: not recurrent, one pass for all frames."
    paper: ClassVar[str] = "Gao et al. 2022, SimVP, arXiv 2206.05099; Tan et al. 2022, SimVP v2, arXiv 2211.12509"

    def __init__(self, config: SimVPConfig) -> None:
        super().__init__(config)
        self.encoder = Encoder(config)
        self.translator = build_translator(config.plan())
        self.decoder = Decoder(config)

    @property
    def capabilities(self) -> Capabilities:
        """Exactly the configured context and channels, any horizon; any size but for mlp-mixer."""
        exactly = Capabilities.exactly(self.config.context, self.config.channels)
        return replace(exactly, any_size=self.config.translator != "mlp-mixer")

    def unroll(self, request: Request) -> Iterator[Block]:
        """Predict in passes of as many frames as the context has, each on the frames of the one before."""
        return roll_on(self.next_frames, request.context, request.horizon, clamp=False)

    def follow(self, context: Tensor, horizon: int) -> Tensor:
        """Return `horizon` frames (B, horizon, C, H, W), not clamped, after `context` (B, T, C, H, W)."""
        return roll_out(self.next_frames, context, horizon, clamp=False)

    def next_frames(self, context: Tensor) -> Tensor:
        """Return as many frames as `context` (B, T, C, H, W) has, the ones after it, not clamped."""
        height, width = context.shape[3:]
        self._check_size(context.shape)
        frames = pad_to_multiple(context, self.config.multiple)
        coarse, fine = self.encoder(frames.flatten(0, 1))
        maps = coarse.unflatten(0, (-1, self.config.context)).flatten(1, 2)  # (B, T * D, h, w)
        future: Tensor = self.decoder(self.translator(maps).reshape(coarse.shape), fine)
        return future.reshape(frames.shape)[..., :height, :width]

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Refuse frames of another size than mlp-mixer was made for."""
        self._check_size(frame_shape)

    def stages(self) -> list[Stage]:
        """One objective, by Adam."""
        adam = OptimizerDefaults("adam", lr=1e-3)
        return [Stage("predict", [Objective("frames", list(self.parameters()), self.loss, adam)])]

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Score all predicted frames."""
        return self.score(self.follow(clip.context, clip.horizon), clip.target)

    def score(self, future: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean squared error of `future` (B, T, C, H, W)."""
        error = F.mse_loss(future, target)
        return error, {"mse": error.detach()}

    def _check_size(self, shape: Sequence[int]) -> None:
        if not self.capabilities.any_size:
            check_size(shape, self.config)


def _layer(before: int, after: int, kernel: int, stride: int = 1, double: bool = False) -> nn.Sequential:
    """Return a convolution that may halve (`stride` 2) or double the size, a norm of two groups, and SiLU."""
    convolution = near_zero(nn.Conv2d(before, 4 * after if double else after, kernel, stride, kernel // 2))
    resize = nn.PixelShuffle(2) if double else nn.Identity()
    return nn.Sequential(convolution, resize, nn.GroupNorm(2, after), nn.SiLU())
