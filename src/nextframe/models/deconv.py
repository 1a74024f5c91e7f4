"""Deconv: a network from convolutional features back to the image, with the autoencoder that makes them."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.layers.cae_spec import parse_spec, shapes, split_after
from nextframe.losses.pixel import mse
from nextframe.models.bases.autoencoder import Autoencoder, AutoencoderConfig, glorot, some_frames
from nextframe.models.cae import (
    CAE,
    DENSE_BIASES,
    FILM_SPEC,
    LOG_SIGMA,
    SHIFT,
    UNPOOL,
    CAEConfig,
    DenseBiases,
    Unpool,
)
from nextframe.models.contract import ModelConfig, Objective, OptimizerDefaults, Stage


class DeconvConfig(AutoencoderConfig):
    """Settings of `Deconv`: those of its `cae`, and the dropout between its own layers."""

    spec: str = Field(FILM_SPEC, description="layers of the `cae` that makes the features, as written there")
    unpool: Unpool = Field("nearest", description=f"of the `cae`: {UNPOOL}")
    dense_biases: DenseBiases = Field("map", description=f"of the `cae`: {DENSE_BIASES}")
    dropout: float = Field(0.2, ge=0, lt=1, description="dropout before each layer from features to image")
    cae_frames: int = Field(8, ge=1, description="frames per step of the stage that trains the features")


class DeconvNet(nn.Module):
    """The spec's convolutions backwards, each "full" so that it grows the map; a pooling is undone by repeating.

    Dropout, convolution, tanh for each, and at last one 3x3 convolution to the image. Dense layers are skipped.
    """

    def __init__(self, spec: str, shape: tuple[int, int, int], dropout: float) -> None:
        super().__init__()
        layers = parse_spec(spec)
        layers = layers[: split_after(layers)]
        sizes = [shape, *shapes(layers, shape)]
        self.dropout, self.steps = dropout, []
        self.convs = nn.ModuleDict()
        channels = sizes[-1][0]
        for layer, before in zip(reversed(layers), reversed(sizes[:-1]), strict=True):
            if layer.kind == "conv":
                self.convs[layer.name] = nn.Conv2d(channels, layer.size, layer.kernel, padding=layer.kernel - 1)
                channels = layer.size
            if layer.kind != "dropout":
                self.steps.append((layer.kind, layer.name, before[1:]))
        self.last = nn.Conv2d(channels, shape[0], 3, padding=1)
        glorot(self)

    def forward(self, features: Tensor) -> Tensor:
        """Return images (N, C, H, W) in [-1, 1], 0.5 below frames, of features (N, C', H', W')."""
        maps = features
        for kind, name, size in self.steps:
            if kind == "pool":
                maps = F.interpolate(maps, size=size, mode="nearest")
            else:
                maps = self.convs[name](F.dropout(maps, self.dropout, self.training)).tanh()
        image: Tensor = self.last(F.dropout(maps, self.dropout, self.training)).tanh()
        return image


class Deconv(Autoencoder):
    """Features of a `cae`, and a separate network that generates the image from them.

    As an autoencoder its latent is the features themselves: large, and near to the image.
    """

    Config: ClassVar[type[ModelConfig]] = DeconvConfig
    idea: ClassVar[str] = "Generates frames from the convolutional features of an autoencoder."
    when = "To see what the features of `cae` keep; alone it predicts no motion."
    paper: ClassVar[str] = "tencia/video_predict (2016), train_deconv"
    config: DeconvConfig

    def __init__(self, config: DeconvConfig) -> None:
        super().__init__(config)
        self.cae = CAE(cae_config(config))
        self.net = DeconvNet(config.spec, config.shape, config.dropout)
        self.latent = self.cae.feature_shape[0] * self.cae.feature_shape[1] * self.cae.feature_shape[2]

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features (N, latent) and a constant log deviation."""
        features = self.cae.conv_features(frames).flatten(1)
        return features, torch.full_like(features, LOG_SIGMA)

    def decode(self, latents: Tensor) -> Tensor:
        """Return frames (N, C, H, W)."""
        image: Tensor = self.net(latents.reshape(-1, *self.cae.feature_shape))
        return image + SHIFT

    def stages(self) -> list[Stage]:
        """The features first, then the way back: mean squared error, Adam at 3e-3."""
        return [*within("cae", self.cae.stages()), self.stage()]

    def stage(self) -> Stage:
        """Return the stage that trains only the way back."""
        adam = OptimizerDefaults("adam", lr=3e-3)
        objective = Objective("mse", list(self.net.parameters()), self._loss, adam)
        return Stage("deconv", [objective], part="net")

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        frames = some_frames(clip, self.config.frames)
        loss = deconv_loss(self.net, self.cae, frames)
        return loss, {"mse": loss.detach()}


def deconv_loss(net: nn.Module, cae: CAE, frames: Tensor) -> Tensor:
    """Return the mean squared error of what `net` generates from the features of `frames`, which are not trained."""
    cae.eval()  # no dropout in the features
    with torch.no_grad():
        features = cae.conv_features(frames)
    return mse(net(features), frames - SHIFT)


def cae_config(config: DeconvConfig) -> CAEConfig:
    """Return the settings of the autoencoder inside."""
    channels, height, width = config.shape
    return CAEConfig(
        channels=channels,
        frame_height=height,
        frame_width=width,
        frames=config.cae_frames,
        spec=config.spec,
        unpool=config.unpool,
        dense_biases=config.dense_biases,
    )


def within(part: str, stages: list[Stage]) -> list[Stage]:
    """Return the stages of a model that is the submodule `part` of another."""
    return [stage.inside(part) for stage in stages]
