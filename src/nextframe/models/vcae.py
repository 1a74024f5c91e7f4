"""VCAE: a variational autoencoder of moving digits, one convolution and wide dense layers each way."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.losses.latent import gaussian_nll, kl_standard_normal
from nextframe.losses.pixel import bce_logits
from nextframe.models.bases.autoencoder import Autoencoder, AutoencoderConfig, floored, glorot, sample, some_frames
from nextframe.models.contract import ModelConfig, Objective, OptimizerDefaults, Stage


class VCAEConfig(AutoencoderConfig):
    """Settings of `VCAE`; the sizes are those of the public code."""

    latent: int = Field(32, ge=1, description="size of a latent")
    hidden: int = Field(1024, ge=1, description="units of the dense layer each way")
    filters: int = Field(32, ge=1, description="maps of the convolution each way")
    kernel: int = Field(3, ge=1, description="side of the square kernel, in pixels, odd")
    samples: int = Field(2, ge=1, description="draws of a latent whose losses are averaged")
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout of the frame's pixels while encoding")
    binary: bool = Field(True, description="tanh and Bernoulli pixels; else softplus and Gaussian pixels")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, kernel: int) -> int:
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {kernel}: the map keeps the frame's size")
        return kernel


class VCAE(Autoencoder):
    """Convolution, dense layer, latent; and back. Trained by the evidence lower bound, in nats per frame."""

    Config: ClassVar[type[ModelConfig]] = VCAEConfig
    idea: ClassVar[str] = "A variational autoencoder of frames: one convolution and one wide dense layer each way."
    when = "As the frame model inside `latent-lstm`, as tencia/video_predict has it; alone it predicts no motion."
    paper: ClassVar[str] = "tencia/video_predict (2016); Kingma & Welling 2014, arXiv 1312.6114"
    config: VCAEConfig

    def __init__(self, config: VCAEConfig) -> None:
        super().__init__(config)
        self.latent = config.latent
        channels, height, width = config.shape
        flat, same = config.filters * height * width, config.kernel // 2
        self.encoder_conv = nn.Conv2d(channels, config.filters, config.kernel, padding=same)
        self.encoder_dense = nn.Linear(flat, config.hidden)
        self.mean = nn.Linear(config.hidden, config.latent)
        self.log_sigma = nn.Linear(config.hidden, config.latent)
        self.decoder_dense = nn.Linear(config.latent, config.hidden)
        self.decoder_outputs = nn.ModuleList(nn.Linear(config.hidden, flat) for _ in range(self.outputs))
        self.decoder_conv = nn.Conv2d(config.filters, channels, config.kernel, padding=same)
        self.decoder_log_sigma = (
            None if config.binary else nn.Conv2d(config.filters, channels, config.kernel, padding=same)
        )
        glorot(self)

    @property
    def outputs(self) -> int:
        """How many last dense layers the decoder has."""
        return 1

    def output(self, draw: int) -> nn.Module:
        """Return the last dense layer for draw number `draw` of a latent: the same for all."""
        return self.decoder_outputs[0]

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log deviation, (N, latent) each."""
        maps = self.encoder_conv(F.dropout(frames, self.config.dropout, self.training)).tanh()
        hidden = self._bend(self.encoder_dense(maps.flatten(1)))
        return self.mean(hidden), self.log_sigma(hidden)

    def decode(self, latents: Tensor) -> Tensor:
        """Return frames (N, C, H, W)."""
        frames: Tensor = self.decoder_conv(self._maps(latents))
        return frames.sigmoid() if self.config.binary else frames

    def stages(self) -> list[Stage]:
        """One stage: minus the evidence lower bound, by Adam at 3e-5."""
        adam = OptimizerDefaults("adam", lr=3e-5)
        return [Stage("vcae", [Objective("elbo", list(self.parameters()), self._loss, adam)])]

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        frames = some_frames(clip, self.config.frames)
        mean, log_sigma = self.encode(frames)
        draws = sample(mean, log_sigma, self.config.samples).chunk(self.config.samples)
        kl = kl_standard_normal(mean, log_sigma)
        pixels = sum(self._pixel_loss(self._maps(z, n), frames) for n, z in enumerate(draws)) / len(draws)
        loss = pixels + kl
        return loss, {"nats": loss.detach(), "kl": kl.detach()}

    def _pixel_loss(self, maps: Tensor, frames: Tensor) -> Tensor:
        """Return -log p(frames | latent) in nats a frame, of the decoder's last maps."""
        painted = self.decoder_conv(maps)
        if self.decoder_log_sigma is None:
            return bce_logits(painted, frames, "sum") / len(frames)
        return gaussian_nll(painted.flatten(1), floored(self.decoder_log_sigma(maps)).flatten(1), frames.flatten(1))

    def _maps(self, latents: Tensor, draw: int = 0) -> Tensor:
        """Return the decoder's last maps of latents (N, latent), which are draw number `draw` of their kind."""
        _, height, width = self.config.shape
        maps: Tensor = self.output(draw)(self._bend(self.decoder_dense(latents))).tanh()
        return maps.reshape(-1, self.config.filters, height, width)

    def _bend(self, hidden: Tensor) -> Tensor:
        return hidden.tanh() if self.config.binary else F.softplus(hidden)
