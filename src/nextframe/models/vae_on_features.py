"""VAE on features: a chain for videos, image -> convolutional features -> latent -> features -> image."""

from __future__ import annotations

from math import prod
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.layers.cae_spec import split_after
from nextframe.losses.latent import gaussian_nll, kl_standard_normal
from nextframe.models.bases.autoencoder import Autoencoder, floored, glorot, sample, some_frames
from nextframe.models.cae import CAE
from nextframe.models.contract import ModelConfig, Objective, OptimizerDefaults, Stage
from nextframe.models.deconv import DeconvConfig, DeconvNet, cae_config, deconv_loss, within


class VAEOnFeaturesConfig(DeconvConfig):
    """Settings of `VAEOnFeatures`: those of `deconv`, and of the variational autoencoder between."""

    latent: int = Field(256, ge=1, description="size of a latent")
    hidden: int = Field(1500, ge=1, description="units of the dense layer each way")
    samples: int = Field(2, ge=1, description="draws of a latent whose losses are averaged")
    bounded: bool = Field(
        True, description="the decoder's mean goes through tanh, as published, though features have no bounds"
    )
    image: Literal["deconv", "tied"] = Field(
        "deconv", description="what generates the image from features; tied: the rest of the `cae`"
    )
    lr: float = Field(1e-5, gt=0, description="learning rate of the stage that trains the latent")


class VAEOnFeatures(Autoencoder):
    """Three networks, trained one after the other: features, their latent, and the way back to the image."""

    Config: ClassVar[type[ModelConfig]] = VAEOnFeaturesConfig
    idea: ClassVar[str] = "A variational autoencoder of an autoencoder's convolutional features, for videos."
    when = "As the frame model inside `latent-lstm`, for videos; alone it predicts no motion."
    paper: ClassVar[str] = "tencia/video_predict (2016), train_vae_on_convs"
    config: VAEOnFeaturesConfig

    def __init__(self, config: VAEOnFeaturesConfig) -> None:
        super().__init__(config)
        inner = cae_config(config)
        # predictions have no known positions of maxima
        self.cae = CAE(inner.model_copy(update={"unpool": "nearest"}) if config.image == "tied" else inner)
        split_after(self.cae.layers)  # or there are no features
        self.latent = config.latent
        self.vae = FeatureVAE(prod(self.cae.feature_shape), config.hidden, config.latent, config.bounded)
        self.net = DeconvNet(config.spec, config.shape, config.dropout) if config.image == "deconv" else None

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log deviation, (N, latent) each."""
        return self.vae.encode(self.cae.conv_features(frames).flatten(1))

    def decode(self, latents: Tensor) -> Tensor:
        """Return frames (N, C, H, W) in [-0.5, 1.5]."""
        features = self.vae.decode(latents)[0].reshape(-1, *self.cae.feature_shape)
        if self.net is None:
            return self.cae.from_features(features)
        image: Tensor = self.net(features)
        return image + 0.5

    def stages(self) -> list[Stage]:
        """Features, latent, image: Adam at 1e-3, `lr` and 3e-3."""
        stages = within("cae", self.cae.stages())
        latent = Objective("elbo", list(self.vae.parameters()), self._loss, OptimizerDefaults("adam", self.config.lr))
        stages.append(Stage("vae-on-features", [latent], part="vae"))
        if self.net is not None:
            adam = OptimizerDefaults("adam", lr=3e-3)
            image = Objective("mse", list(self.net.parameters()), self._image_loss, adam)
            stages.append(Stage("deconv", [image], part="net"))
        return stages

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        self.cae.eval()  # no dropout in the features
        with torch.no_grad():
            features = self.cae.conv_features(some_frames(clip, self.config.frames)).flatten(1)
        mean, log_sigma = self.vae.encode(features)
        draws = sample(mean, log_sigma, self.config.samples)
        kl = kl_standard_normal(mean, log_sigma)
        loss = gaussian_nll(*self.vae.decode(draws), features.repeat(self.config.samples, 1)) + kl
        return loss, {"nats": loss.detach(), "kl": kl.detach()}

    def _image_loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        assert self.net is not None  # else there is no such stage
        loss = deconv_loss(self.net, self.cae, some_frames(clip, self.config.frames))
        return loss, {"mse": loss.detach()}


class FeatureVAE(nn.Module):
    """One softplus layer each way around the latent, Gaussian features."""

    def __init__(self, features: int, hidden: int, latent: int, bounded: bool) -> None:
        super().__init__()
        self.bounded = bounded
        self.encoder = nn.Linear(features, hidden)
        self.mean = nn.Linear(hidden, latent)
        self.log_sigma = nn.Linear(hidden, latent)
        self.decoder = nn.Linear(latent, hidden)
        self.feature_mean = nn.Linear(hidden, features)
        self.feature_log_sigma = nn.Linear(hidden, features)
        glorot(self)

    def encode(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log deviation, (N, latent) each, of features (N, F)."""
        hidden = F.softplus(self.encoder(features))
        return self.mean(hidden), self.log_sigma(hidden)

    def decode(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log deviation, (N, F) each, of the features of latents (N, latent)."""
        hidden = F.softplus(self.decoder(latents))
        mean: Tensor = self.feature_mean(hidden)
        return mean.tanh() if self.bounded else mean, floored(self.feature_log_sigma(hidden))
