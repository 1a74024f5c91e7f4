"""VAE: a small modern variational autoencoder of frames, strided convolutions with group norm."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.seeds.noise import integers
from nextframe.layers.grid import pad_to_multiple, places
from nextframe.layers.processes import mean_over_processes
from nextframe.layers.sampling import precise
from nextframe.losses.latent import kl_standard_normal
from nextframe.losses.pixel import bce_logits
from nextframe.models.bases.autoencoder import Autoencoder, AutoencoderConfig, sample, some_runs
from nextframe.models.contract import ModelConfig, Objective, OptimizerDefaults, Stage

GROUP = 8  # channels per group, for widths that it divides


class VAEConfig(AutoencoderConfig):
    """Settings of `VAE`."""

    widths: tuple[int, ...] = Field((16, 32, 64, 128), min_length=1, description="channels after each layer")
    patch: int = Field(
        2, ge=2, multiple_of=2, description="the first layer divides H and W by this, each of the others by 2"
    )
    latent: int = Field(64, ge=1, description="size of a flat latent, or channels of a spatial one")
    content: int = Field(
        0, ge=0, description="part of the latent learned from another frame of the clip: what, not where"
    )
    layout: Literal["flat", "spatial"] = Field(
        "flat", description="spatial: a map of latents, one at each position of the coarsest grid"
    )
    likelihood: Literal["gaussian", "bernoulli"] = Field(
        "gaussian", description="distribution of a pixel, given the latent"
    )
    beta: float = Field(1.0, ge=0, description="weight of the divergence")
    straight: float = Field(
        0.0, ge=0, description="weight of ||z'' ||^2: latents of frames that follow each other keep their pace"
    )

    @model_validator(mode="after")
    def _some_motion(self) -> VAEConfig:
        if self.content >= self.latent:
            raise ValueError(f"content {self.content} leaves nothing of latent {self.latent} for what moves")
        return self


class VAE(Autoencoder):
    """Halve the frame with every convolution, a latent, and back by transposed convolutions.

    The Gaussian likelihood has one deviation for all pixels, the one that fits the batch best (the sigma-VAE of
    Rybkin et al. 2021): the balance of reconstruction and divergence needs no setting.

    With `content`, that part of the latent is taken from another frame of the same clip while training, so it can only
    hold what both share, and the rest holds where it is (content and pose of Denton & Birodkar 2017, without their
    adversary: its divergence counts once per clip, that of the rest in every frame).
    """

    Config: ClassVar[type[ModelConfig]] = VAEConfig
    idea: ClassVar[str] = "A small variational autoencoder of frames: strided convolutions each way, group norm."
    when = "As the frame model inside `latent-lstm`; alone it repeats its reconstruction of the last frame."
    paper: ClassVar[str] = (
        "Kingma & Welling 2014, arXiv 1312.6114; deviation as in Rybkin et al. 2021, arXiv 2006.13202"
    )
    config: VAEConfig

    def __init__(self, config: VAEConfig) -> None:
        super().__init__(config)
        self.factor = config.patch * 2 ** (len(config.widths) - 1)
        grid = math.ceil(config.frame_height / self.factor), math.ceil(config.frame_width / self.factor)
        widths = (config.channels + 2, *config.widths)  # two more for the positions
        strides = (config.patch, *[2] * (len(config.widths) - 1))
        layers = zip(pairwise(widths), strides, strict=True)
        self.encoder = nn.Sequential(*(down(a, b, stride) for (a, b), stride in layers))
        self.grid = (config.widths[-1], *grid)
        flat = math.prod(self.grid)
        if config.layout == "flat":
            self.latent, self.content = config.latent, config.content
            self.head: nn.Module = nn.Sequential(nn.Flatten(), nn.Linear(flat, 2 * config.latent))
            self.start: nn.Module = nn.Sequential(nn.Linear(config.latent, flat), nn.Unflatten(1, self.grid))
        else:
            self.latent, self.content = (channels * math.prod(grid) for channels in (config.latent, config.content))
            self.head = nn.Sequential(nn.Conv2d(config.widths[-1], 2 * config.latent, 1), nn.Flatten())
            unfold = nn.Unflatten(1, (config.latent, *grid))
            self.start = nn.Sequential(unfold, nn.Conv2d(config.latent, config.widths[-1], 3, padding=1))
        back = config.widths[::-1]
        self.decoder = nn.Sequential(_norm(back[0]), *(up(a, b) for a, b in pairwise(back)))
        patch = config.patch
        self.paint = nn.ConvTranspose2d(back[-1], config.channels, 2 * patch, stride=patch, padding=patch // 2)

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log deviation, (N, latent) each."""
        padded = pad_to_multiple(frames, self.factor)
        seen = torch.cat([padded - 0.5, places(padded)], dim=1).contiguous(memory_format=torch.channels_last)
        mean, log_sigma = precise(self.head(self.encoder(seen))).chunk(2, dim=1)
        return mean, log_sigma.clamp(-6, 3)  # e^-6: far below what a latent can hold, far above where exp overflows

    def decode(self, latents: Tensor) -> Tensor:
        """Return frames in [0, 1] for a Bernoulli likelihood, and near it for a Gaussian one."""
        painted = self._paint(latents)
        return painted.sigmoid() if self.config.likelihood == "bernoulli" else painted + 0.5

    def stages(self) -> list[Stage]:
        """One stage: minus the evidence lower bound, by Muon."""
        muon = OptimizerDefaults("muon", lr=0.02, betas=(0.9, 0.99))
        return [Stage("vae", [Objective("elbo", list(self.parameters()), self._loss, muon)])]

    def _paint(self, latents: Tensor) -> Tensor:
        _, height, width = self.config.shape
        maps = self.start(latents).contiguous(memory_format=torch.channels_last)
        painted: Tensor = self.paint(self.decoder(maps))
        return precise(painted)[..., :height, :width]

    def _with_content(self, clip: Clip, owners: Tensor, *latents: Tensor) -> tuple[Tensor, ...]:
        """Return `latents` (N * length, latent) of N runs with the content of any one frame of each run's clip."""
        times = integers(clip.frames.shape[1], owners.shape, owners.device)
        found = self.encode(clip.frames[owners, times])
        length = len(latents[0]) // len(owners)
        return tuple(
            torch.cat([other[:, : self.content].repeat_interleave(length, 0), own[:, self.content :]], dim=1)
            for other, own in zip(found, latents, strict=True)
        )

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        runs, owners = some_runs(clip, self.config.frames, 3 if self.config.straight else 1)
        frames = runs.flatten(0, 1)
        mean, log_sigma = self.encode(frames)
        if self.content:
            mean, log_sigma = self._with_content(clip, owners, mean, log_sigma)
        painted = self._paint(sample(mean, log_sigma))
        kl = kl_standard_normal(mean[:, self.content :], log_sigma[:, self.content :])
        # the divergence of content, if there is any, counts once for a whole clip
        kl = kl + kl_standard_normal(mean[:, : self.content], log_sigma[:, : self.content]) / clip.frames.shape[1]
        if self.config.likelihood == "bernoulli":
            nats = bce_logits(painted, frames, "sum") / len(frames)
        else:
            error = F.mse_loss(painted + 0.5, frames)
            if self.training:  # the deviation is that of the whole batch, whichever process holds the frames
                error = mean_over_processes(error, len(frames))
            nats = 0.5 * math.prod(self.config.shape) * ((error + 1e-6).log() + math.log(2 * math.pi) + 1)
        logs = {"nats": (nats + kl).detach(), "kl": kl.detach()}
        loss = nats + self.config.beta * kl
        if self.config.straight:
            bend = mean.reshape(*runs.shape[:2], -1).diff(n=2, dim=1).square().sum(-1).mean()
            loss, logs["bend"] = loss + self.config.straight * bend, bend.detach()
        return loss, logs


def down(before: int, after: int, stride: int) -> nn.Module:
    """Return a layer that divides H and W by an even `stride`, from patches that overlap by half."""
    return nn.Sequential(nn.Conv2d(before, after, 2 * stride, stride=stride, padding=stride // 2), _norm(after))


def up(before: int, after: int) -> nn.Module:
    """Return a layer that doubles H and W."""
    return nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), _norm(after))


def _norm(channels: int) -> nn.Module:
    groups = channels // GROUP if channels % GROUP == 0 else 1
    return nn.Sequential(nn.GroupNorm(groups, channels), nn.ReLU())
