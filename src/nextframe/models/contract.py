"""The contract of every predictor: it never sees the future, owns its loss, and is rebuilt from its config."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn

from nextframe.core.clip import Clip, Task, check_frames
from nextframe.core.config import Config
from nextframe.core.errors import NotSupportedError, UserError


class ModelConfig(Config):
    """All that is needed to rebuild a model; each model's subclass says its fields."""


class TrainedTask(Config):
    """What a model was trained for; a model folder carries it, so that a user need not repeat it."""

    context: int
    horizon: int
    size: tuple[int, int] | None = None  # (height, width)
    channels: int | None = None
    gap: int | None = None  # trained on the frame between two that are 2 * gap apart; None: on the frames that follow
    fps: float | None = None
    data: str = ""


@dataclass(frozen=True)
class Capabilities:
    """What a model can take, so that callers ask instead of knowing names."""

    trainable: bool = True
    stochastic: bool = False
    any_size: bool = True
    min_context: int = 1
    max_context: int | None = None  # None: any; equal to min_context: exactly that many
    channels: int | None = None  # None: any
    max_horizon: int | None = None  # None: any
    causal: bool = False  # a sequence model: its output at t depends on frames up to t only
    forecasts: bool = True  # can be asked for the frames that follow the given ones
    interpolates: bool = False  # can be asked for the frame between two given ones
    reads: int | None = None  # how many of the last context frames decide the prediction; None: all of them

    def serves(self, task: Task) -> bool:
        """Whether the model can be asked for the frames that `task` asks for."""
        return self.forecasts if task.is_forecast else self.interpolates


@dataclass(frozen=True)
class OptimizerDefaults:
    """What an objective wants when the user says nothing."""

    name: str = "adamw"  # of a registered optimizer
    lr: float = 1e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    final: float = 1.0  # the rate falls geometrically to this part of itself over the stage, beside the schedule


@dataclass(frozen=True)
class Objective:
    """One loss over one set of parameters, stepped by one optimiser.

    `loss(clip)` takes a clip of floats on the model's device and returns (scalar loss, detached values to log).
    """

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Clip], tuple[Tensor, dict[str, Tensor]]]
    optimizer: OptimizerDefaults = field(default_factory=OptimizerDefaults)
    own_batch: bool = False  # asks for a batch of its own, instead of sharing the step's


class Prepare(Protocol):
    """Work done once before a stage, such as encoding every frame to latents on disk."""

    def __call__(self, data: Any, folder: str) -> Any:
        """Return the data that the stage trains on; `folder` outlives a killed run."""


@dataclass(frozen=True)
class Stage:
    """Objectives that are trained together; stages follow one another. `share` is the part of the run's steps.

    `part` names the submodule that the stage trains, as "autoencoder"; a stage with one can be left out, its part
    taken from another run. "" is the whole model.
    """

    name: str
    objectives: list[Objective]
    prepare: Prepare | None = None
    share: float = 1.0
    part: str = ""

    def inside(self, part: str) -> Stage:
        """Return this stage as one of a model that has this one as its submodule `part`."""
        return replace(self, part=f"{part}.{self.part}" if self.part else part)


class Predictor(nn.Module):
    """Context in, frames out. A model is a subclass in one file, with a `Config`, `forecast` and `stages`.

    `idea` is one sentence for `nextframe models`, `paper` where it comes from.
    """

    Config: ClassVar[type[ModelConfig]] = ModelConfig
    idea: ClassVar[str] = ""
    paper: ClassVar[str] = ""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.trained: TrainedTask | None = None  # set by training and by loading

    @property
    def capabilities(self) -> Capabilities:
        """What this model, with this config, can take."""
        return Capabilities()

    @torch.no_grad()
    def predict(
        self, context: Tensor, horizon: int, *, samples: int = 1, generator: torch.Generator | None = None
    ) -> Tensor:
        """Predict the `horizon` frames that follow `context`.

        Args:
            context: (B, T, C, H, W), float in [0, 1].
            horizon: how many frames, at least 1; need not be the trained one.
            samples: how many futures. Deterministic models return the same one each time.
            generator: randomness of a stochastic model, on the context's device.

        Returns:
            (B, horizon, C, H, W) in [0, 1]; with samples > 1, (samples, B, horizon, C, H, W).

        Raises:
            UserError: a context or horizon that the model does not take; the line names the number it takes.
        """
        check_request(self.capabilities, context, horizon, type(self).__name__)
        was_training = self.training
        self.eval()
        try:
            if samples == 1:
                return self.forecast(context, horizon, generator).clamp(0, 1)
            if not self.capabilities.stochastic:
                future = self.forecast(context, horizon, generator).clamp(0, 1)
                return future.expand(samples, *future.shape)
            return torch.stack([self.forecast(context, horizon, generator).clamp(0, 1) for _ in range(samples)])
        finally:
            self.train(was_training)

    def forecast(self, context: Tensor, horizon: int, generator: torch.Generator | None) -> Tensor:
        """Return one future (B, horizon, C, H, W); subclasses implement it, callers use `predict`."""
        raise NotImplementedError

    def stages(self) -> list[Stage]:
        """Return how the model is trained, stage by stage; a baseline has none."""
        return []

    def warning(self, logs: Mapping[str, float]) -> str | None:
        """Return one line for the user if the means of a log line say that training goes wrong, else None."""
        return None

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Raise UserError where clips of `task` and frames (C, H, W) cannot train this model; before a run begins."""

    def features(self, clip: Clip) -> Tensor:
        """Return (B, D) features of the context, where the model has an encoder."""
        raise NotSupportedError(f"{type(self).__name__} has no encoder, so it has no features")


class StreamingPredictor(Predictor):
    """A recurrent model: read the context once, then each further frame costs O(1)."""

    def prime(self, context: Tensor) -> Any:
        """Read `context` (B, T, C, H, W), T may be 0, and return the state after its last frame."""
        raise NotImplementedError

    def step(self, state: Any, frame: Tensor) -> tuple[Tensor, Any]:
        """Read `frame` (B, C, H, W); return the prediction of the frame after it and the new state."""
        raise NotImplementedError

    def forecast(self, context: Tensor, horizon: int, generator: torch.Generator | None) -> Tensor:
        """Prime on all but the last frame, then feed each prediction back."""
        state, frame = self.prime(context[:, :-1]), context[:, -1]
        future = []
        for _ in range(horizon):
            frame, state = self.step(state, frame)
            future.append(frame)
        return torch.stack(future, dim=1)  # (B, horizon, C, H, W)


def check_task(model: Predictor, task: Task, name: str) -> None:
    """Refuse to ask a model for the next frames if it can or has learned only the one in the middle, or vice versa."""
    asked, other = "the frames that follow", "the frame between two others"
    if not task.is_forecast:
        asked, other = other, asked
    if not model.capabilities.serves(task):
        raise NotSupportedError(f"{name} cannot predict {asked}")
    if model.trained is not None and (model.trained.gap is None) != task.is_forecast:
        raise NotSupportedError(f"{name} was trained to predict {other}, not {asked}")


def check_request(can: Capabilities, context: Tensor, horizon: int, name: str) -> None:
    """Refuse a context or horizon that `can` does not cover, with a line that names what is taken."""
    frames, channels = check_frames(context).shape[1:3]
    if not context.is_floating_point():
        raise UserError(f"{name} takes float frames in [0, 1], not {context.dtype}")
    if can.max_context == can.min_context != frames:
        raise UserError(f"{name} takes exactly {can.min_context} context frames, not {frames}")
    if frames < can.min_context:
        raise UserError(f"{name} needs at least {can.min_context} context frames, there are {frames}")
    if can.max_context is not None and frames > can.max_context:
        raise UserError(f"{name} takes at most {can.max_context} context frames, not {frames}")
    if can.channels is not None and channels != can.channels:
        raise UserError(f"{name} takes {can.channels} channel(s), the frames have {channels}")
    if horizon < 1 or (can.max_horizon is not None and horizon > can.max_horizon):
        raise UserError(f"{name} predicts 1 to {can.max_horizon or 'any number of'} frames, not {horizon}")
