"""CAE: a convolutional autoencoder, built from a spec string, its decoder tied to its encoder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.layers.cae_spec import Layer, parse_spec, shapes, split_after
from nextframe.losses.pixel import mse
from nextframe.models.bases.autoencoder import Autoencoder, AutoencoderConfig, glorot, some_frames
from nextframe.models.contract import ModelConfig, Objective, OptimizerDefaults, Stage

SHIFT = 0.5  # frames are in [-0.5, 0.5] inside, where tanh reaches
LOG_SIGMA = math.log(0.1)  # the log deviation of a latent that has none
DenseBiases = Literal["map", "number"]
Unpool = Literal["nearest", "switches"]
DENSE_BIASES = "the decoder's biases where a dense layer reads maps: one for each map, or for each of their numbers"
UNPOOL = "how pooling is undone: by repeating, or back to where each maximum was"
FILM_SPEC = "d-0.2,16-5,p-2,d-0.2,32-3,d-0.2,32-3,d-0.2,512"  # the one in the public code's chain for videos


class CAEConfig(AutoencoderConfig):
    """Settings of `CAE`. The public training script's own spec is "d-0.2,16-5,d-0.2,32-3,d-0.2,64-3,8-1,d-0.2,256"."""

    spec: str = Field(
        FILM_SPEC, description="d-P dropout, F-K convolution of F filters K x K, p-K max-pooling, N dense"
    )
    unpool: Unpool = Field("nearest", description=UNPOOL)
    dense_biases: DenseBiases = Field("map", description=DENSE_BIASES)
    frames: int = Field(8, ge=1)


class CAE(Autoencoder):
    """Each convolution and dense layer is linear, bias, tanh; the decoder goes back through the same weights.

    Pooling is undone by repeating; "switches" needs the positions of the maxima, which no predicted latent has.
    """

    Config: ClassVar[type[ModelConfig]] = CAEConfig
    idea: ClassVar[str] = "A convolutional autoencoder from a spec string, its decoder tied to its encoder."
    when = "As the features that `deconv` and `vae-on-features` stand on; alone it predicts no motion."
    paper: ClassVar[str] = "tencia/video_predict (2016), train_cae"
    when_predicted: ClassVar[Mapping[str, Any]] = {"unpool": "nearest"}  # no known positions of maxima
    config: CAEConfig

    def __init__(self, config: CAEConfig) -> None:
        super().__init__(config)
        self.layers = parse_spec(config.spec)
        self.shapes = [config.shape, *shapes(self.layers, config.shape)]
        self.latent = math.prod(self.shapes[-1])
        self.weights = nn.ModuleDict()  # of the encoder, used by the decoder too
        self.back_biases = nn.ParameterDict()
        for layer, before in zip(self.layers, self.shapes, strict=False):
            if layer.kind in ("conv", "dense"):
                self.weights[layer.name] = _weights(layer, before)
                self.back_biases[layer.name] = nn.Parameter(torch.zeros(self._bias_length(layer, before)))
        glorot(self)
        self._split = split_after(self.layers) if any(layer.kind == "conv" for layer in self.layers) else 0

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of the features: the output of the last convolution before its bias, (32, 26, 26) as published."""
        return self.shapes[self._split]

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return the code (N, latent) and a constant log deviation of the same shape."""
        code, _ = self._encode(frames)
        return code, torch.full_like(code, LOG_SIGMA)

    def decode(self, latents: Tensor) -> Tensor:
        """Return frames (N, C, H, W); poolings are undone by repeating."""
        return self._decode(latents, {}) + SHIFT

    def reconstruct(self, frames: Tensor) -> Tensor:
        """Return the reconstruction of `frames`, poolings undone as the config says."""
        return (self._decode(*self._encode(frames)) + SHIFT).clamp(0, 1)

    def conv_features(self, frames: Tensor) -> Tensor:
        """Return the features (N, C', H', W') of frames: the last convolution's output before bias and tanh."""
        maps = frames - SHIFT
        for layer in self.layers[: self._split - 1]:
            maps = self._forward(layer, maps)[0]
        layer = self.layers[self._split - 1]
        return F.conv2d(maps, self._weight(layer))

    def from_features(self, features: Tensor) -> Tensor:
        """Return the frames (N, C, H, W) that the rest of the autoencoder makes of features."""
        layer = self.layers[self._split - 1]
        maps = (features + cast(Tensor, self.weights[layer.name].bias).view(-1, 1, 1)).tanh()
        for layer in self.layers[self._split :]:
            maps = self._forward(layer, maps)[0]
        return self._decode(maps.flatten(1), {}) + SHIFT

    def stages(self) -> list[Stage]:
        """One stage: mean squared error, Adam at 1e-3 (the public code also bounds the gradient's norm by 10)."""
        adam = OptimizerDefaults("adam", lr=1e-3)
        return [Stage("cae", [Objective("mse", list(self.parameters()), self._loss, adam)])]

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        frames = some_frames(clip, self.config.frames)
        loss = mse(self._decode(*self._encode(frames)), frames - SHIFT)
        return loss, {"mse": loss.detach()}

    def _encode(self, frames: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the flat code and, by layer, the positions of the maxima."""
        maps, switches = frames - SHIFT, {}
        for layer in self.layers:
            maps, where = self._forward(layer, maps)
            if where is not None and self.config.unpool == "switches":
                switches[layer.name] = where
        return maps.flatten(1), switches

    def _forward(self, layer: Layer, maps: Tensor) -> tuple[Tensor, Tensor | None]:
        if layer.kind == "dropout":
            return F.dropout(maps, layer.rate, self.training), None
        if layer.kind == "pool":
            return F.max_pool2d(maps, layer.size, return_indices=True)
        if layer.kind == "dense":
            maps = maps.flatten(1)
        linear: Tensor = self.weights[layer.name](maps)
        return linear.tanh(), None

    def _decode(self, code: Tensor, switches: dict[str, Tensor]) -> Tensor:
        """Go back through the layers: (N, latent) to (N, C, H, W) in [-1, 1]."""
        maps = code.reshape(-1, *self.shapes[-1])
        for layer, before in zip(reversed(self.layers), reversed(self.shapes[:-1]), strict=True):
            if layer.kind == "pool":
                maps = _unpool(maps, before, layer, switches.get(layer.name))
            elif layer.kind == "conv":
                maps = F.conv_transpose2d(maps, self._weight(layer), self.back_biases[layer.name]).tanh()
            elif layer.kind == "dense":
                maps = F.linear(maps, self._weight(layer).T).reshape(-1, *before)
                maps = (maps + _spread(self.back_biases[layer.name], before)).tanh()
        return maps

    def _weight(self, layer: Layer) -> Tensor:
        return cast(Tensor, self.weights[layer.name].weight)

    def _bias_length(self, layer: Layer, before: tuple[int, ...]) -> int:
        """Return how many biases the decoder adds to what was read: one a channel or unit, as Lasagne shares them."""
        return math.prod(before) if layer.kind == "dense" and self.config.dense_biases == "number" else before[0]


def _weights(layer: Layer, before: tuple[int, ...]) -> nn.Module:
    if layer.kind == "conv":
        return nn.Conv2d(before[0], layer.size, layer.kernel)
    return nn.Linear(math.prod(before), layer.size)


def _spread(bias: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return biases as they are added to numbers of `shape`: each its own, or one for all of a map."""
    return bias.reshape(shape) if bias.numel() == math.prod(shape) else bias.reshape(-1, *[1] * (len(shape) - 1))


def _unpool(maps: Tensor, size: tuple[int, ...], layer: Layer, switches: Tensor | None) -> Tensor:
    """Undo a pooling to (N, *size): into the positions of the maxima, or by repeating each value."""
    if switches is not None:
        return F.max_unpool2d(maps, switches, [layer.size] * 2, output_size=list(size[1:]))
    return F.interpolate(maps, size=size[1:], mode="nearest")
