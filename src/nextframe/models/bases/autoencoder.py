"""What autoencoders of frames share: Gaussian latents, reconstructions, and how a predictor names one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import torch
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip, Task
from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import global_batch, normal_like, uniform
from nextframe.models import MODELS
from nextframe.models.contract import Block, Capabilities, ModelConfig, Predictor, Request


class AutoencoderConfig(ModelConfig):
    """Fields that every autoencoder has."""

    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    frame_height: int = Field(64, ge=1, description="height of a frame in pixels")
    frame_width: int = Field(64, ge=1, description="width of a frame in pixels")
    frames: int = Field(
        128, ge=1, description="per training step, at random, equally many from each clip: at least one"
    )

    @property
    def shape(self) -> tuple[int, int, int]:
        """The shape (C, H, W) of a frame."""
        return self.channels, self.frame_height, self.frame_width


class Autoencoder(Predictor):
    """Frames to latents and back. As a predictor it repeats its reconstruction of the last frame.

    Subclasses set `latent`, the size of a latent, and implement `encode`, `decode` and `stages`. Its first `content`
    dimensions, if any, hold what is in a clip and not where: those of any frame do for any other of the same clip.
    """

    Config: ClassVar[type[ModelConfig]] = AutoencoderConfig
    config: AutoencoderConfig
    latent: int
    content: int = 0
    when_predicted: ClassVar[Mapping[str, Any]] = {}  # fields of the config inside a model that predicts the latents

    @property
    def capabilities(self) -> Capabilities:
        """One frame size; of the context only the last frame counts."""
        return Capabilities(any_size=False, channels=self.config.channels, reads=1)

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Refuse frames of another size."""
        check_size(frame_shape, self.config)

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log deviation, (N, latent) each, of the latents of `frames` (N, C, H, W) in [0, 1]."""
        raise NotImplementedError

    def decode(self, latents: Tensor) -> Tensor:
        """Return frames (N, C, H, W) in [0, 1], except where a linear last layer exceeds it, of (N, latent)."""
        raise NotImplementedError

    def reconstruct(self, frames: Tensor) -> Tensor:
        """Return the frames (N, C, H, W) in [0, 1] that the mean latents of `frames` (N, C, H, W) decode to."""
        return self.decode(self.encode(frames)[0]).clamp(0, 1)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Repeat the reconstruction of the last frame."""
        check_size(request.context.shape, self.config)
        last = Block(self.reconstruct(request.context[:, -1]).unsqueeze(1))
        for _ in range(request.horizon):
            yield last

    def features(self, clip: Clip) -> Tensor:
        """Return (B, latent): the mean latent of the context's frames."""
        check_size(clip.context.shape, self.config)
        mean, _ = self.encode(clip.context.flatten(0, 1))
        return mean.reshape(*clip.context.shape[:2], self.latent).mean(1)


class Part(Config):
    """A registered model inside another, and the fields of its config that differ from its defaults."""

    name: str = Field(description="name of a registered model")
    fields: dict[str, Any] = Field(default_factory=dict, description="fields of its config, where not the defaults")


def build_autoencoder(part: Part, given: Mapping[str, Any]) -> Autoencoder:
    """Return the untrained autoencoder that `part` names; `given` are fields that the outer model sets.

    Raises:
        UserError: an unknown name or field, or a model that is not an autoencoder.
    """
    kind: type[Predictor] = MODELS.get(part.name)
    if not issubclass(kind, Autoencoder):
        known = [name for name in MODELS if issubclass(MODELS.get(name), Autoencoder)]
        raise UserError(f"'{part.name}' is not an autoencoder (one of: {', '.join(known)})")
    fields = {**given, **kind.when_predicted, **part.fields}
    return kind(kind.Config.parse(fields, where=f"autoencoder '{part.name}'"))


def some_frames(clip: Clip, count: int) -> Tensor:
    """Return about `count` frames (N, C, H, W) of the global batch, chosen at random from context and target alike.

    Every clip gives equally many, at least one, in the order of the clips. So each process has its share of the frames,
    and the mean over all processes is that of one that holds all clips.
    """
    return some_runs(clip, count, 1)[0].flatten(0, 1)


def some_runs(clip: Clip, count: int, length: int) -> tuple[Tensor, Tensor]:
    """Return about `count` frames of the global batch as runs (N, length, C, H, W), chosen at random.

    The frames of a run follow one another; clips that are shorter than `length` give runs of their own length. Every
    clip gives equally many runs, at least one, clip by clip. The second is (N,): the clip of each run.
    """
    frames = clip.frames
    length = min(length, frames.shape[1])
    runs = frames.unfold(1, length, 1).movedim(-1, 2)  # (B, starts, length, C, H, W)
    starts = runs.shape[1]
    each = min(starts, max(1, count // length // global_batch(len(clip))))
    owners = torch.arange(len(clip), device=frames.device).repeat_interleave(each)
    if each == starts:
        return runs.flatten(0, 1), owners
    order = uniform((len(clip), starts), frames.device).argsort(dim=1, stable=True)
    return runs[owners, order[:, :each].flatten()], owners


class OfOneSize(Protocol):
    """The config of a model that is made for frames of one size, in pixels."""

    @property
    def frame_height(self) -> int:
        """Rows."""

    @property
    def frame_width(self) -> int:
        """Columns."""


def check_size(shape: Sequence[int], config: OfOneSize) -> None:
    """Refuse frames of a shape (..., H, W) of another size than the model's."""
    height, width = shape[-2:]
    if (height, width) != (config.frame_height, config.frame_width):
        made_for = f"{config.frame_height}x{config.frame_width}"
        python = f"in Python size=({config.frame_height}, {config.frame_width})"
        raise UserError(f"the model takes frames of {made_for}, not {height}x{width}: --size {made_for} ({python})")


def sample(mean: Tensor, log_sigma: Tensor, count: int = 1) -> Tensor:
    """Return `count` draws (count * N, D) from the Gaussians (N, D), differentiable (Kingma & Welling 2014)."""
    noise = normal_like(mean.unsqueeze(1).expand(-1, count, -1)).transpose(0, 1)  # drawn latent by latent, for clips
    return (mean + log_sigma.exp() * noise).flatten(0, 1)


def glorot(module: nn.Module) -> None:
    """Initialise every layer of `module` as Lasagne does: Glorot uniform weights, zero biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def floored(log_sigma: Tensor, floor: float = -10.0) -> Tensor:
    """Return log deviations that are never below `floor`: relu(a + 10) - 10."""
    return (log_sigma - floor).relu() + floor
