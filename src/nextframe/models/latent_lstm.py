"""Latent LSTM: encode each frame, predict the latents with an LSTM, decode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from nextframe.core.clip import Clip, EncodedClip, Task
from nextframe.layers.latent_heads import HEADS, HeadName, HeadSettings, narrow
from nextframe.layers.lstm import LasagneLSTM, LSTMState
from nextframe.layers.sampling import precise
from nextframe.models.bases.autoencoder import Autoencoder, Part, build_autoencoder, check_size
from nextframe.models.contract import (
    Block,
    Capabilities,
    Encode,
    ModelConfig,
    ModelOptions,
    Objective,
    OptimizerDefaults,
    Request,
    Stage,
    StreamingPredictor,
)

AUTOENCODER = "autoencoder"  # the submodule's name, for training.stage_from
Random = torch.Generator | None
DECODED = 16  # frames of a prediction that are decoded together


class LatentLSTMConfig(ModelConfig):
    """Settings of `LatentLSTM`."""

    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    frame_height: int = Field(64, ge=1, description="height of a frame in pixels")
    frame_width: int = Field(64, ge=1, description="width of a frame in pixels")
    autoencoder: Part = Field(Part(name="vae"), description="what makes latents of frames, and frames of latents")
    hidden: tuple[int, ...] = Field((384, 384), min_length=1, description="units of each LSTM layer")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout before each LSTM layer")
    forget_bias: float = Field(1.0, description="forget gates' bias before training")
    head: HeadName = Field(
        "differences", description="the next latent as itself, a Gaussian (kl), its change, both of these, or a mixture"
    )
    drift: float = Field(1.0, ge=0, description="heads of differences: weight of the error after adding up")
    anchored: bool = Field(True, description="heads of differences: the LSTM reads the latent too, not only changes")
    components: int = Field(5, ge=1, description='head "mixture": how many Gaussians')
    per_dimension: bool = Field(False, description='head "mixture": a mixture for each dimension of the latent')
    sigma_floor: float = Field(0.05, gt=0, description='head "mixture": the smallest deviation')
    temperature: float | None = Field(None, ge=0, description='None: 1 for head "mixture", else 0, which draws nothing')
    feedback: bool = Field(True, description="train on own predictions of the target frames, as in use")
    cache_clips: int = Field(10_000, ge=1, description="clips of an endless data set that are encoded for the LSTM")
    autoencoder_share: float = Field(0.5, gt=0, lt=1, description="share of the run's steps for the autoencoder")
    optimizer: Literal["adam", "muon"] = Field("muon", description="optimizer of the LSTM's stage")
    lr: float = Field(0.02, gt=0, description="learning rate of the LSTM's stage")


class LatentLSTMOptions(ModelOptions):
    """What may be chosen when futures are drawn."""

    temperature: float | None = Field(None, ge=0, description="0 the most likely, 1 as learned; None: the config's")


@dataclass(frozen=True)
class LatentState:
    """The streaming state: each layer's hidden and cell state, the latest point (B, 1, 2, D), and the content.

    `content` (B, 1, C) is the mean of the `read` points so far.
    """

    layers: tuple[LSTMState, ...] | None = None
    point: Tensor | None = None
    content: Tensor | None = None
    read: int = 0


class LatentLSTM(StreamingPredictor):
    """An autoencoder, trained first, and an LSTM over its latents. Predictions are fed back as latents.

    If the autoencoder separates content (`content` of `vae`), that is averaged over the frames read and held, and
    only the rest is predicted, as in Denton & Birodkar 2017.
    """

    Config: ClassVar[type[ModelConfig]] = LatentLSTMConfig
    Options: ClassVar[type[ModelOptions]] = LatentLSTMOptions
    idea: ClassVar[str] = "Encodes each frame into a few numbers, predicts those with an LSTM, and decodes."
    when = "Several futures of one clip, or long roll-outs, of videos that a few numbers can describe."
    paper: ClassVar[str] = "After tencia/video_predict (2016); mixtures: Graves 2013, Ha & Schmidhuber 2018"
    config: LatentLSTMConfig

    def __init__(self, config: LatentLSTMConfig) -> None:
        super().__init__(config)
        given = {name: getattr(config, name) for name in ("channels", "frame_height", "frame_width")}
        self.autoencoder = build_autoencoder(config.autoencoder, given)
        self.content = self.autoencoder.content
        shape = (self.autoencoder.latent - self.content, config.hidden[-1], config.components, config.per_dimension)
        settings = HeadSettings(*shape, config.sigma_floor, config.drift, config.anchored)
        self.head = HEADS[config.head](settings)
        widths = (self.head.reads + self.content, *config.hidden)
        self.layers = nn.ModuleList(self.layer(before, after) for before, after in pairwise(widths))

    def layer(self, before: int, after: int) -> LasagneLSTM:
        """Return an LSTM layer of `after` units that reads `before` numbers."""
        return LasagneLSTM(before, after, None, self.config.forget_bias)

    @property
    def temperature(self) -> float:
        """The randomness of sampling: 0 none, 1 as learned."""
        usual = 1.0 if self.config.head == "mixture" else 0.0
        return usual if self.config.temperature is None else self.config.temperature

    def draws(self, options: ModelOptions) -> bool:
        """Whether futures differ: at a temperature above 0, with a head that can draw."""
        return self.head.stochastic and self._temperature(options) > 0

    def _temperature(self, options: ModelOptions) -> float:
        assert isinstance(options, LatentLSTMOptions)
        return self.temperature if options.temperature is None else options.temperature

    @property
    def capabilities(self) -> Capabilities:
        """One frame size, any context from one frame on; draws futures above temperature 0."""
        return Capabilities(
            stochastic=self.head.stochastic and self.temperature > 0,
            any_size=False,
            channels=self.config.channels,
            causal=True,
        )

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Refuse frames of another size than the autoencoder's."""
        self.autoencoder.check_data(task, frame_shape)

    def points(self, frames: Tensor) -> Tensor:
        """Return the latents (B, T, 2, D) of frames (B, T, C, H, W): mean and log deviation, not trained."""
        with torch.no_grad():
            return self._encoded(frames)

    def _encoded(self, frames: Tensor) -> Tensor:
        self.autoencoder.eval()  # no dropout: what is predicted is what is decoded
        points = precise(torch.stack(self.autoencoder.encode(frames.flatten(0, 1)), dim=1))  # means, log deviations
        return points.reshape(*frames.shape[:2], 2, self.autoencoder.latent)

    def decode(self, points: Tensor) -> Tensor:
        """Return the frames (B, T, C, H, W) of points (B, T, 2, D)."""
        frames = self.autoencoder.decode(points[:, :, 0].flatten(0, 1))
        return frames.reshape(*points.shape[:2], *frames.shape[1:])

    def advance(self, points: Tensor, state: LatentState) -> tuple[Tensor, LatentState]:
        """Read points (B, T, 2, D), T >= 1; return the top layer's states (B, T, hidden) and the new state."""
        before = None if state.point is None else self._moving(state.point)
        content = self._content(points, state)
        maps, after = torch.cat([self.head.read(self._moving(points), before), content], dim=-1), []
        for index, layer in enumerate(self.layers):
            maps = F.dropout(maps, self.config.dropout, self.training)
            maps, last = layer(maps, state.layers[index] if state.layers else None)
            after.append(last)
        return maps, LatentState(tuple(after), points[:, -1:], content[:, -1:], state.read + points.shape[1])

    def _moving(self, points: Tensor) -> Tensor:
        """Return the part of points (B, T, 2, D) that is predicted."""
        return points[..., self.content :]

    def _content(self, points: Tensor, state: LatentState) -> Tensor:
        """Return the mean content (B, T, C) of everything read up to each of `points` (B, T, 2, D)."""
        total = points[:, :, 0, : self.content].cumsum(dim=1)
        if state.content is not None:
            total = total + state.read * state.content
        counts = torch.arange(1, points.shape[1] + 1, device=points.device) + state.read
        return total / counts.unsqueeze(-1)

    def following(
        self,
        hidden: Tensor,
        point: Tensor,
        state: LatentState,
        generator: Random = None,
        temperature: float | None = None,
    ) -> Tensor:
        """Return the point (B, 1, 2, D) after `point`, which `advance` read to give `hidden` and `state`.

        `temperature` None is the model's own.
        """
        moved = self.head.draw(
            hidden, self._moving(point), self.temperature if temperature is None else temperature, generator
        )
        assert state.content is not None  # a state that has read something
        return torch.cat([narrow(state.content), moved], dim=-1)

    def prime(self, context: Tensor) -> LatentState:
        """Read the context (B, T, C, H, W), T may be 0."""
        check_size(context.shape, self.autoencoder.config)
        return self.advance(self._encoded(context), LatentState())[1] if context.shape[1] else LatentState()

    def step(self, state: LatentState, frame: Tensor) -> tuple[Tensor, LatentState]:
        """Read a frame (B, C, H, W); return the one predicted after it and the new state."""
        point = self._encoded(frame.unsqueeze(1))
        hidden, state = self.advance(point, state)
        return self.decode(self.following(hidden, point, state)).squeeze(1), state

    def unroll(self, request: Request) -> Iterator[Block]:
        """Read the context, then feed latents back; no predicted frame is encoded again."""
        state, start = self.prime(request.context[:, :-1]), self._encoded(request.context[:, -1:])
        points = self.imagined(state, start, request.generator, self._temperature(request.options))
        for made in range(0, request.horizon, DECODED):
            yield Block(self.decode(torch.cat(list(islice(points, min(DECODED, request.horizon - made))), dim=1)))

    def imagine(
        self,
        state: LatentState,
        point: Tensor,
        horizon: int,
        generator: Random = None,
        temperature: float | None = None,
    ) -> Tensor:
        """Return the `horizon` points (B, horizon, 2, D) that follow `point` (B, 1, 2, D), each fed back."""
        return torch.cat(list(islice(self.imagined(state, point, generator, temperature), horizon)), dim=1)

    def imagined(
        self, state: LatentState, point: Tensor, generator: Random = None, temperature: float | None = None
    ) -> Iterator[Tensor]:
        """Yield points as `imagine` returns them, (B, 1, 2, D) each, without end."""
        while True:
            hidden, state = self.advance(point, state)
            point = self.following(hidden, point, state, generator, temperature)
            yield point
            state = self.carried(state)

    def carried(self, state: LatentState) -> LatentState:
        """Return what the next point is predicted with, besides the point that is fed back."""
        return state

    @property
    def reconstructor(self) -> Autoencoder:
        """The autoencoder, which turns frames into latents and back."""
        return self.autoencoder

    @torch.no_grad()
    def primed(self, clip: Clip, generator: torch.Generator | None = None) -> Tensor:
        """Return (B, T + H, C, H, W) in [0, 1]: one-step predictions in the context, then free ones.

        The first frame is its own reconstruction, because nothing comes before it; frame t of the context is predicted
        from those before t.
        """
        points = self.points(clip.context)
        *before, last = torch.split(points, 1, dim=1)
        state, parts = LatentState(), [points[:, :1]]
        for point in before:
            hidden, state = self.advance(point, state)
            parts.append(self.following(hidden, point, state, temperature=0.0))
        parts.append(self.imagine(state, last, clip.horizon, generator))
        return self.decode(torch.cat(parts, dim=1)).clamp(0, 1)

    def features(self, clip: Clip) -> Tensor:
        """Return (B, hidden[-1]): the top layer's state after the context; gradients reach the autoencoder too."""
        check_size(clip.context.shape, self.autoencoder.config)
        return self.advance(self._encoded(clip.context), LatentState())[0][:, -1]

    def stages(self) -> list[Stage]:
        """Those of the autoencoder, then the LSTM on latents that were encoded once."""
        first = [stage.inside(AUTOENCODER) for stage in self.autoencoder.stages()]
        shares, own = sum(stage.share for stage in first), self.config.autoencoder_share
        first = [replace(stage, share=stage.share / shares * own) for stage in first]
        objective = Objective(
            self.config.head,
            [*self.layers.parameters(), *self.head.parameters()],
            self._loss,
            OptimizerDefaults(self.config.optimizer, lr=self.config.lr),
        )
        encode = Encode(self.autoencoder, lambda f: self.points(f.unsqueeze(1)).squeeze(1), self.config.cache_clips)
        return [*first, Stage("lstm", [objective], encode, share=1 - own)]

    def _loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the head's mean loss over every step; with `feedback`, from own predictions after the context."""
        frames = clip.frames
        points = frames.squeeze(3) if isinstance(clip, EncodedClip) else self.points(frames)
        forced = clip.context.shape[1] if self.config.feedback else points.shape[1] - 1
        hidden, state = self.advance(points[:, :forced], LatentState())
        moving = self._moving(points)
        losses = [self.head.loss(hidden, moving[:, :forced], moving[:, 1 : forced + 1], moving[:, :forced])]
        hidden, point = hidden[:, -1:], points[:, forced - 1 : forced]
        truth = torch.split(moving[:, forced:], 1, dim=1)
        for now, following in pairwise(truth):
            point = self._feed_back(hidden, point, state)
            hidden, state = self.advance(point, state)
            losses.append(self.head.loss(hidden, self._moving(point), following, now))
        each = torch.cat(losses, dim=1)  # (B, T - 1)
        loss = each.mean()
        return loss, {self.config.head: loss.detach(), "first_free": each[:, forced - 1].mean().detach()}

    def _feed_back(self, hidden: Tensor, point: Tensor, state: LatentState) -> Tensor:
        """Return the next point as in use; no gradient goes through a draw."""
        drawn = self.following(hidden, point, state)
        return drawn.detach() if self.temperature > 0 else drawn
