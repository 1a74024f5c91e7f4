"""DDPAE: a video as a few components, each an image that stays the same and a pose that moves."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import ClassVar, NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from nextframe.core.clip import Clip, Task
from nextframe.core.seeds.noise import drawn_normal
from nextframe.layers.dcgan import decoder, encoder, start_small
from nextframe.layers.placing import cut_out, place
from nextframe.layers.sampling import precise
from nextframe.losses.latent import kl_normal, kl_standard_normal
from nextframe.models.bases.autoencoder import check_size
from nextframe.models.contract import (
    Block,
    Capabilities,
    ModelConfig,
    ModelOptions,
    Objective,
    OptimizerDefaults,
    Predictor,
    Request,
    Stage,
)

POSE = 3  # scale, x, y
State = tuple[Tensor, Tensor]  # of an LSTM: (1, B, hidden) each
Random = torch.Generator | None


class DDPAEConfig(ModelConfig):
    """Fields of `ddpae`; the defaults are the public code's for Moving MNIST."""

    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    frame_height: int = Field(64, ge=8, description="height of a frame in pixels")
    frame_width: int = Field(64, ge=8, description="width of a frame in pixels")
    components: int = Field(2, ge=1, description="how many components, such as objects, a video has at most")
    object_size: int = Field(32, ge=8, description="side of a component's own image in pixels: 8, 16, 32, 64, ...")
    width: int = Field(8, ge=1, description="channels of the first layer of both encoders; each further one doubles")
    features: int = Field(256, ge=1, description="numbers that a frame is encoded into")
    hidden: int = Field(64, ge=1, description="units of each LSTM")
    content: int = Field(128, ge=1, description="numbers that hold what a component looks like")
    coupled: bool = Field(True, description="a component's future poses depend on those of the components before it")
    scale: float = Field(2.0, gt=1.5, description="how many times larger than a component a frame is, before training")
    scale_sigma: float = Field(0.2, gt=0, description="deviation of the first pose's scale before training")
    place_sigma: float = Field(1.0, gt=0, description="deviation of the first pose's place before training")
    step_sigma: float = Field(0.1, gt=0, description="deviation of a pose's step from frame to frame before training")
    pixel_sigma: float = Field(0.3, gt=0, description="deviation of a pixel, given all latents")
    start_sigma: float = Field(0.05, gt=0, description="deviation of the latents' posterior when training starts")
    lr: float = Field(1e-3, gt=0, description="learning rate")

    @field_validator("object_size")
    @classmethod
    def _doubled(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of 2: each layer of the decoder doubles it")
        return value


class DDPAEOptions(ModelOptions):
    """What may be chosen when futures are predicted."""

    temperature: float = Field(0.0, ge=0, description="0 the mean of poses and content, 1 drawn as learned")


class Gaussian(NamedTuple):
    """Independent normal numbers, (..., D) each."""

    mean: Tensor
    log_sigma: Tensor

    def draw(self, temperature: float = 1.0, generator: Random = None) -> Tensor:
        """Return numbers (..., D), the mean at temperature 0; differentiable."""
        return drawn_normal(self.mean, self.log_sigma, temperature, generator)


class GaussianHead(nn.Module):
    """A mean and a deviation for each output of an LSTM."""

    def __init__(self, width: int, count: int, sigma: float) -> None:
        super().__init__()
        self.mean, self.deviation = nn.Linear(width, count), nn.Linear(width, count)
        start_small(self)
        nn.init.constant_(self.deviation.bias, math.log(math.expm1(sigma)))  # what softplus makes `sigma` of

    def forward(self, hidden: Tensor) -> Gaussian:
        """Return the numbers (..., D) of hidden (..., width)."""
        mean, deviation = precise(self.mean(hidden)), precise(self.deviation(hidden))
        return Gaussian(mean, F.softplus(deviation).clamp_min(1e-6).log())


@dataclass(frozen=True)
class Reading:
    """What the pose network has read of a context: LSTM outputs (B, T, K, hidden), and K states."""

    outputs: Tensor
    states: list[State]


class _LSTM(nn.LSTM):
    """On a GPU always in training mode, in which cuDNN alone has gradients; without dropout nothing else changes."""

    cudnn: ClassVar[str] = "cuda"  # the kind of device

    def train(self, mode: bool = True) -> Self:
        return super().train(mode or self.weight_hh_l0.device.type == self.cudnn)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:  # moves the weights
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self.train(self.training)


class PoseNetwork(nn.Module):
    """From frames to poses: components take turns to read the video, each told at every frame what the last one read.

    The future is predicted by another LSTM that reads its own outputs, and those of the component before it.
    """

    def __init__(self, config: DDPAEConfig) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden
        size = (config.frame_height, config.frame_width)
        self.encoder = encoder(config.channels, config.width, size, config.features)
        self.reader = _LSTM(config.features + hidden, hidden, batch_first=True)
        self.predictor = _LSTM(2 * hidden if config.coupled else hidden, hidden, batch_first=True)
        self.starter = _LSTM(hidden, hidden, batch_first=True)
        self.step = GaussianHead(hidden, POSE, config.start_sigma)
        self.start = GaussianHead(hidden, POSE, config.start_sigma)
        with torch.no_grad():
            self.start.mean.bias[0] = config.scale  # far from it the scale is cut off and has no gradient

    def read(self, context: Tensor) -> Reading:
        """Read context (B, T, C, H, W)."""
        features = self.encoder(_fast(context.flatten(0, 1))).unflatten(0, context.shape[:2])
        before = features.new_zeros(*context.shape[:2], self.config.hidden)
        outputs, states = [], []
        for _ in range(self.config.components):
            before, state = self.reader(torch.cat([features, before.to(features.dtype)], dim=2))
            outputs.append(before)
            states.append(state)
        return Reading(torch.stack(outputs, dim=2), states)

    def ahead(self, reading: Reading) -> Iterator[Tensor]:
        """Yield outputs (B, 1, K, hidden) for the frames after the context, without end."""
        states, latest = list(reading.states), list(reading.outputs[:, -1:].unbind(2))
        while True:
            beside = torch.zeros_like(latest[0])
            for index, own in enumerate(latest):
                given = torch.cat([own, beside], dim=2) if self.config.coupled else own
                beside, states[index] = self.predictor(given, states[index])
                latest[index] = beside
            yield torch.stack(latest, dim=2)

    def first(self, reading: Reading) -> Gaussian:
        """Return where each component begins, (B, K, 3), of what was read of the first frame."""
        return self.start(self.starter(reading.outputs[:, 0])[0])  # type: ignore[no-any-return]


class DDPAE(Predictor):
    """Components add up to the frame; each is one image, decoded once a video, placed by the pose of the frame.

    A variational autoencoder whose latents are, for each component, the content, the first pose, and the step of the
    pose from frame to frame. The content is read from what is cut out of the context at the poses, so it cannot hold
    where something is. The divergences are computed and not sampled as in the public code, and posterior deviations
    start small, which saves thousands of steps; pixels are sampled at their centres.
    """

    Config: ClassVar[type[ModelConfig]] = DDPAEConfig
    Options: ClassVar[type[ModelOptions]] = DDPAEOptions
    idea: ClassVar[str] = "Splits a video into components, each an image that stays and a pose that moves."
    when = "Separate objects on a plain ground: it finds them and their motion without being told."
    paper: ClassVar[str] = "Hsieh et al., NeurIPS 2018, arXiv 1806.04166"
    config: DDPAEConfig

    def __init__(self, config: DDPAEConfig) -> None:
        super().__init__(config)
        self.poses = PoseNetwork(config)
        self.object_encoder = encoder(config.channels, config.width, (config.object_size,) * 2, config.content)
        self.content_reader = _LSTM(config.content, config.hidden, batch_first=True)
        self.content = GaussianHead(config.hidden, config.content, config.start_sigma)
        self.decoder = decoder(config.content, config.width, config.object_size, config.channels)
        for part in (self.poses.encoder, self.object_encoder, self.decoder):
            start_small(part)

    @property
    def capabilities(self) -> Capabilities:
        """One frame size; any context from one frame on, any horizon."""
        return Capabilities(any_size=False, channels=self.config.channels)

    def draws(self, options: ModelOptions) -> bool:
        """Whether futures differ: above temperature 0."""
        return _temperature(options) > 0

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Refuse frames of another size."""
        check_size(frame_shape, self.config)

    def unroll(self, request: Request) -> Iterator[Block]:
        """Find poses and content in the context, then move each component on, frame by frame."""
        check_size(request.context.shape, self.config)
        temperature, generator = _temperature(request.options), request.generator
        reading = self.poses.read(request.context)
        path = self.path(self.poses.first(reading), self.poses.step(reading.outputs), temperature, generator)
        images = self.images(self.seen(request.context, path).draw(temperature, generator))
        latest = path[:, -1:]
        for outputs in islice(self.poses.ahead(reading), request.horizon):
            latest = latest + self.poses.step(outputs).draw(temperature, generator)
            yield Block(self.frames(self.placed(images, latest)))

    def path(self, first: Gaussian, steps: Gaussian, temperature: float = 1.0, generator: Random = None) -> Tensor:
        """Return poses (B, T, K, 3), not yet constrained, of the first one (B, K, 3) and steps (B, T, K, 3)."""
        start = first.draw(temperature, generator).unsqueeze(1)
        return start + steps.draw(temperature, generator).cumsum(dim=1)

    def constrained(self, path: Tensor) -> Tensor:
        """Return poses (..., 3) as `place` takes them: scales near the expected one, most of a component in sight."""
        scale = path[..., :1].clamp(self.config.scale - 1, self.config.scale + 1)
        return torch.cat([scale, path[..., 1:].tanh() * (scale - 0.5)], dim=-1)

    def seen(self, context: Tensor, path: Tensor) -> Gaussian:
        """Return the content (B, K, D) of what is at `path` (B, T, K, 3) in the context (B, T, C, H, W)."""
        count, side = self.config.components, self.config.object_size
        frames = context.unsqueeze(2).expand(-1, -1, count, -1, -1, -1)
        cut = cut_out(frames.flatten(0, 2), self.constrained(path).flatten(0, 2), (side, side))
        codes = self.object_encoder(_fast(cut)).unflatten(0, frames.shape[:3])  # (B, T, K, D)
        read = self.content_reader(codes.transpose(1, 2).flatten(0, 1))[0][:, -1]
        return self.content(read.unflatten(0, (-1, count)))  # type: ignore[no-any-return]

    def images(self, content: Tensor) -> Tensor:
        """Return each component's own image (B, K, C, h, w) in [0, 1] of content (B, K, D)."""
        painted: Tensor = self.decoder(content.flatten(0, 1)[..., None, None])
        return precise(painted).sigmoid().reshape(*content.shape[:2], *painted.shape[1:])

    def placed(self, images: Tensor, path: Tensor) -> Tensor:
        """Return components (B, T, K, C, H, W) of `images` (B, K, C, h, w) at `path` (B, T, K, 3)."""
        each = images.unsqueeze(1).expand(-1, path.shape[1], *[-1] * 4)
        size = (self.config.frame_height, self.config.frame_width)
        placed = place(each.flatten(0, 2), self.constrained(path).flatten(0, 2), size)
        return placed.reshape(*path.shape[:3], *placed.shape[1:])

    def frames(self, components: Tensor) -> Tensor:
        """Return the frames (B, T, C, H, W), at most 1, that components (B, T, K, C, H, W) add up to."""
        return components.sum(2).clamp(max=1)

    def components(self, context: Tensor, horizon: int) -> Tensor:
        """Return the components (B, T + horizon, K, C, H, W) of a context and of its future, at temperature 0."""
        check_size(context.shape, self.config)
        images, path = self._latents(context, horizon, temperature=0.0)[0]
        return self.placed(images, path)

    def stages(self) -> list[Stage]:
        """One stage: minus the evidence lower bound, but for a constant, by Adam."""
        adam = OptimizerDefaults("adam", lr=self.config.lr, betas=(0.5, 0.999))
        return [Stage("ddpae", [Objective("elbo", list(self.parameters()), self._loss, adam)])]

    def _latents(
        self, context: Tensor, horizon: int, temperature: float = 1.0
    ) -> tuple[tuple[Tensor, Tensor], tuple[Gaussian, Gaussian, Gaussian]]:
        """Return images and poses of context and future, and the latents' posterior: content, first pose, steps."""
        reading = self.poses.read(context)
        later = list(islice(self.poses.ahead(reading), horizon))
        first, steps = self.poses.first(reading), self.poses.step(torch.cat([reading.outputs, *later], dim=1))
        path = self.path(first, steps, temperature)
        content = self.seen(context, path[:, : context.shape[1]])
        return (self.images(content.draw(temperature)), path), (content, first, steps)

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        (images, path), posterior = self._latents(clip.context, clip.horizon)
        error = (self.frames(self.placed(images, path)) - clip.frames).square().sum() / len(clip)
        kl = self.divergence(*posterior)
        loss = error / (2 * self.config.pixel_sigma**2) + kl
        return loss, {"nats": loss.detach(), "kl": kl.detach(), "error": error.detach()}

    def divergence(self, content: Gaussian, first: Gaussian, steps: Gaussian) -> Tensor:
        """Return the divergence of the latents from what is expected of them before training, in nats a clip."""
        config = self.config
        mean = first.mean.new_tensor([config.scale, 0, 0])
        sigma = first.mean.new_tensor([config.scale_sigma, config.place_sigma, config.place_sigma])
        still, pace = steps.mean.new_zeros(POSE), steps.mean.new_full((POSE,), config.step_sigma)
        total = kl_standard_normal(*content, "sum") + kl_normal(*first, mean, sigma.log(), "sum")
        return (total + kl_normal(*steps, still, pace.log(), "sum")) / len(first.mean)


def _fast(images: Tensor) -> Tensor:
    """Return images (N, C, H, W) in the order of the encoders' weights."""
    return images.contiguous(memory_format=torch.channels_last)


def _temperature(options: ModelOptions) -> float:
    assert isinstance(options, DDPAEOptions)
    return options.temperature
