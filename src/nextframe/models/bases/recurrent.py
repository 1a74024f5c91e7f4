"""The base of recurrent models that read a frame, predict the next one, and learn to go on from their own."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.layers.grid import pad_to_multiple
from nextframe.layers.over_time import OverTime
from nextframe.layers.patches import fold, unfold
from nextframe.layers.scheduled_sampling import SamplingConfig, ScheduledSampling
from nextframe.models.contract import (
    Capabilities,
    ModelConfig,
    Objective,
    OptimizerDefaults,
    Stage,
    StreamingPredictor,
)


class RecurrentConfig(ModelConfig):
    """Fields that all of them have."""

    channels: int = Field(1, ge=1, description="1 grey, 3 RGB")
    patch: int = Field(4, ge=1, description="side of the square of pixels that is folded into channels")
    sampling: SamplingConfig = Field(SamplingConfig(), description="when true frames are read while training")


class Read(NamedTuple):
    """The outcome of reading a sequence: the predictions after its frames, and the last state."""

    following: Tensor  # (B, T, D, h, w): after each frame, the folded next one
    state: Any


class RecurrentPredictor(StreamingPredictor, OverTime):
    """Folded frames in, the folded next frame out, one at a time; subclasses have `start` and `advance`.

    The loss is the mean squared error of every next frame, the context's included, on true frames and on the model's
    own as `sampling` draws them. Frames are padded to a multiple of `multiple` pixels.
    """

    Config: ClassVar[type[ModelConfig]] = RecurrentConfig
    config: RecurrentConfig
    rate: ClassVar[float] = 5e-4  # Adam's, in the standard protocol of Moving MNIST

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.sampling = ScheduledSampling(config.sampling)

    @property
    def capabilities(self) -> Capabilities:
        """Any size, any context from one frame on."""
        return Capabilities(channels=self.config.channels, causal=True)

    @property
    def square(self) -> int:
        """Side of the squares of pixels that are folded into channels; 1 where a network reads frames as they are."""
        return self.config.patch

    @property
    def folded(self) -> int:
        """Channels of a folded frame."""
        return self.config.channels * self.square**2

    @property
    def multiple(self) -> int:
        """Frames are padded to a height and width that are multiples of this, in pixels: whole patches."""
        return self.config.patch

    @abstractmethod
    def start(self, maps: Tensor) -> Any:
        """Return the state before any frame is read, for folded frames like `maps` (B, D, h, w)."""

    def begin(self, maps: Tensor) -> Any:
        """Return what `start` does for a sequence of the loss: with what `penalty` wants to find after it."""
        return self.start(maps)

    @abstractmethod
    def advance(self, state: Any, maps: Tensor) -> tuple[Tensor, Any]:
        """Read the folded frame `maps` (B, D, h, w); return the folded next one and the new state."""

    def errors(self, following: Tensor, true: Tensor) -> dict[str, Tensor]:
        """Return the terms of the loss of frames `following` that should be `true`, (B, T, C, H, W) both."""
        return {"mse": F.mse_loss(following, true)}

    def penalty(self, state: Any) -> Tensor | None:
        """Return what is added to the loss, from the state after a whole sequence; None: nothing."""
        return None

    def fold(self, frames: Tensor) -> Tensor:
        """Return frames (..., C, H, W), padded, as maps (..., D, h, w)."""
        return fold(pad_to_multiple(frames, self.multiple), self.square)

    def unfold(self, maps: Tensor, like: Tensor) -> Tensor:
        """Return maps (..., D, h, w) as frames (..., C, H, W) of the height and width of `like`."""
        return unfold(maps, self.square)[..., : like.shape[-2], : like.shape[-1]]

    def read(self, maps: Tensor, true: Tensor) -> Read:
        """Read the folded frames (B, T, D, h, w) of the loss one by one.

        `true` (B, T - 1) says which of them, from the second on, are read as they are; the model's own prediction
        stands in for the others.
        """
        state, following = self.begin(maps[:, 0]), list[Tensor]()
        for index in range(maps.shape[1]):
            frame = maps[:, index]
            if index:
                frame = torch.where(true[:, index - 1, None, None, None], frame, following[-1])
            out, state = self.checked(self.advance, state, frame)
            following.append(out)
        return Read(torch.stack(following, dim=1), state)

    def prime(self, context: Tensor) -> Any:
        """Read `context` (B, T, C, H, W), T >= 0."""
        maps = self.fold(context)
        state = self.start(maps.new_zeros(maps.shape[0], *maps.shape[2:]))
        for frame in maps.unbind(1):
            _, state = self.advance(state, frame)
        return state

    def step(self, state: Any, frame: Tensor) -> tuple[Tensor, Any]:
        """Read `frame` (B, C, H, W); return the next one and the new state."""
        maps, state = self.advance(state, self.fold(frame))
        return self.unfold(maps, frame), state

    def loss(self, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the errors of every next frame, and the penalty on top of them if there is one."""
        frames = clip.frames[:, :-1]
        following, state = self.read(self.fold(frames), self.sampling(frames, clip.context.shape[1]))
        terms = self.errors(self.unfold(following, frames), clip.frames[:, 1:])
        extra = self.penalty(state)
        if extra is not None:
            terms["penalty"] = extra
        return torch.stack(list(terms.values())).sum(), {name: term.detach() for name, term in terms.items()}

    def stages(self) -> list[Stage]:
        """One objective, by Adam."""
        adam = OptimizerDefaults(name="adam", lr=self.rate)
        return [Stage("train", [Objective("next-frame", list(self.parameters()), self.loss, adam)])]
