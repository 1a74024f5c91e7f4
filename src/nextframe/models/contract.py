"""The contract of every predictor: it never sees the future, owns its loss, and is rebuilt from its config."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from nextframe.core.clip import Clip, Task
from nextframe.core.conditions import NO_CONDITIONS, Conditions
from nextframe.core.config import Config
from nextframe.models.request import (
    Block,
    Capabilities,
    ModelOptions,
    Request,
    TrainedTask,
    check_request,
    check_task,
    gathered,
    read_options,
    task_note,
)

__all__ = [
    "Block",
    "Capabilities",
    "Encode",
    "ModelConfig",
    "ModelOptions",
    "Objective",
    "OptimizerDefaults",
    "Predictor",
    "Request",
    "Stage",
    "StageLoss",
    "StreamingPredictor",
    "TrainedTask",
    "check_request",
    "check_task",
    "gathered",
    "predicting",
    "task_note",
]


class ModelConfig(Config):
    """All that is needed to rebuild a model; each model's subclass has its fields."""


@dataclass(frozen=True)
class OptimizerDefaults:
    """The optimiser settings of an objective, unless the user sets others."""

    name: str = "adamw"  # of a registered optimizer
    lr: float = 1e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    momentum: float = 0.0
    final: float = 1.0  # the rate falls geometrically to this part of itself over the stage, on top of the schedule


@dataclass(frozen=True)
class Objective:
    """One loss over one set of parameters, stepped by one optimiser.

    `loss(clip)` takes a clip of floats on the model's device and returns (scalar loss, detached values to log).
    """

    name: str
    parameters: list[nn.Parameter]
    loss: Callable[[Clip], tuple[Tensor, dict[str, Tensor]]]
    optimizer: OptimizerDefaults = field(default_factory=OptimizerDefaults)
    own_batch: bool = False  # uses a batch of its own, instead of sharing the step's


@dataclass(frozen=True)
class Encode:
    """Requests a stage's clips as codes: each frame is encoded once, and the loop keeps the codes on disk.

    The stage's losses then get an `EncodedClip`.
    """

    encoder: nn.Module  # its weights, when the stage begins, identify the codes
    frames: Callable[[Tensor], Tensor]  # float frames (N, C, H, W) to codes (N, 2, D), called without gradients
    limit: int  # most clips of an endless data set


@dataclass(frozen=True)
class Stage:
    """Objectives that are trained together; stages follow one another. `share` is the part of the run's steps.

    `part` names the submodule that the stage trains, as "autoencoder"; a stage with one can be skipped, its part
    taken from another run. "" is the whole model.
    """

    name: str
    objectives: list[Objective]
    encode: Encode | None = None
    share: float = 1.0
    part: str = ""

    def inside(self, part: str) -> Stage:
        """Return this stage as one of a model that has this one as its submodule `part`."""
        return replace(self, part=f"{part}.{self.part}" if self.part else part)


class StageLoss(nn.Module):
    """A model's losses as one module, for code that wraps modules: data-parallel training, sharding, compiling.

    Save the model itself, not this: the keys of a state dict are those of the model alone.
    """

    def __init__(self, model: nn.Module, objectives: Sequence[Objective]) -> None:
        super().__init__()
        self.model, self.losses = model, [objective.loss for objective in objectives]

    def forward(self, objective: int, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return (scalar loss, detached values to log) of objective number `objective` on `clip`."""
        return self.losses[objective](clip)


class Predictor(nn.Module):
    """Context in, frames out. A model is a subclass in one file, with a `Config`, `forecast` and `stages`.

    `model(context, horizon)` is the same for all: frames in [0, 1], differentiable; all else has a method of its own.
    `Options` are what a user may choose when predicting, `idea` says what the model does, `when` when to choose it.
    """

    Config: ClassVar[type[ModelConfig]] = ModelConfig
    Options: ClassVar[type[ModelOptions]] = ModelOptions
    idea: ClassVar[str] = ""
    when: ClassVar[str] = ""
    reference: ClassVar[str] = ""  # of the baseline that others are measured against: what it predicts, in words
    paper: ClassVar[str] = ""
    original_of: ClassVar[str] = ""  # of a paper's or notebook's form with its faults: the model it is a form of
    from_clips: ClassVar[Mapping[str, Callable[[Clip], Any]]] = {}  # fields that a look at training clips decides
    loss_fields: ClassVar[frozenset[str]] = frozenset()  # of the config: they change the loss alone
    not_in_onnx: ClassVar[str] = ""  # why an ONNX file cannot hold it; else it can, or the exporter says why not
    added: ClassVar[Mapping[str, str]] = {}  # field: the part that is there if it is not 0, and may start untrained

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.trained: TrainedTask | None = None  # set by training and by loading

    @property
    def capabilities(self) -> Capabilities:
        """What this model, with this config, can take."""
        return Capabilities()

    def request(
        self,
        context: Tensor,
        horizon: int | None = None,
        *,
        conditions: Conditions | None = None,
        generator: torch.Generator | None = None,
        options: Mapping[str, Any] | ModelOptions | None = None,
    ) -> Request:
        """Return what `forward` and `predict` ask of `forecast`, checked; the arguments are theirs.

        Raises:
            UserError: what the model does not take; the line names what it takes.
        """
        if horizon is None:
            horizon = self.trained.horizon if self.trained else getattr(self.config, "horizon", 1)
        request = Request(
            context, horizon, NO_CONDITIONS if conditions is None else conditions, generator, self.read_options(options)
        )
        check_request(self.capabilities, request, type(self).__name__)
        return request

    def read_options(self, options: Mapping[str, Any] | ModelOptions | None, name: str = "") -> ModelOptions:
        """Return the model's own options at prediction, from plain values or as they are; `name` is for messages.

        Raises:
            UserError: an option that the model does not have, or a value out of range.
        """
        return read_options(self.Options, options, name or type(self).__name__)

    def forward(
        self,
        context: Tensor,
        horizon: int | None = None,
        conditions: Conditions | None = None,
        options: Mapping[str, Any] | ModelOptions | None = None,
    ) -> Tensor:
        """Return one future (B, horizon, C, H, W) in [0, 1], as `predict`, differentiable, in the model's current mode.

        Args:
            context: (B, T, C, H, W), float in [0, 1].
            horizon: how many frames; None: as many as the model was trained to predict.
            conditions, options: as in `predict`.
        """
        return self.forecast(self.request(context, horizon, conditions=conditions, options=options)).clamp(0, 1)

    def predict(
        self,
        context: Tensor,
        horizon: int,
        *,
        conditions: Conditions | None = None,
        samples: int = 1,
        generator: torch.Generator | None = None,
        options: Mapping[str, Any] | ModelOptions | None = None,
        clamp: bool = True,
    ) -> Tensor:
        """Predict the `horizon` frames that follow `context`.

        Args:
            context: (B, T, C, H, W), float in [0, 1].
            horizon: how many frames, at least 1; need not be the trained one.
            conditions: what the model wants besides frames, and nothing else; timed ones have T + horizon entries.
            samples: how many futures. Deterministic models return the same one each time.
            generator: randomness of a stochastic model, on the context's device.
            options: the model's own, such as {"temperature": 0.5}.
            clamp: False: frames as the model computes them, which may be outside of [0, 1].

        Returns:
            (B, horizon, C, H, W) in [0, 1]; with samples > 1, (samples, B, horizon, C, H, W).

        Raises:
            UserError: a context, horizon, condition or option that the model does not take; the line says what it does.
        """
        request = self.request(context, horizon, conditions=conditions, generator=generator, options=options)
        with predicting(self):
            one = samples == 1 or not self.draws(request.options)
            future = self.forecast(request) if one else torch.stack([self.forecast(request) for _ in range(samples)])
            future = future.clamp(0, 1) if clamp else future
            return future.expand(samples, *future.shape) if one and samples > 1 else future

    def forecast(self, request: Request) -> Tensor:
        """Return one future (B, horizon, C, H, W); callers use `predict` or the model.

        A subclass implements this or `unroll`. One that overrides either of a model is asked by that.
        """
        return gathered(self.unroll(request), request.horizon).frames

    def unroll(self, request: Request) -> Iterator[Block]:
        """Yield what `forecast` returns, a few frames at a time, holding no more than the next ones take.

        The last block may go beyond the horizon. Callers use `unrolled`.
        """
        raise NotImplementedError

    def wanted(self, conditions: Conditions) -> Conditions:
        """Return those of a clip's conditions that the model takes: it has no use for others of a data set."""
        return conditions.only(self.capabilities.conditions)

    def draws(self, options: ModelOptions) -> bool:
        """Whether futures drawn with `options` differ from one another."""
        return self.capabilities.stochastic

    def stages(self) -> list[Stage]:
        """Return how the model is trained, stage by stage; a baseline has none."""
        return []

    def warning(self, logs: Mapping[str, float]) -> str | None:
        """Return one line for the user if the means of a log line say that training goes wrong, else None."""
        return None

    def check_data(self, task: Task, frame_shape: tuple[int, int, int]) -> None:
        """Raise UserError if clips of `task` and frames (C, H, W) cannot train this model; before a run begins."""


@contextmanager
def predicting(model: nn.Module) -> Iterator[nn.Module]:
    """Inside, `model` is in eval mode and no gradients are kept; after it the mode is what it was."""
    was_training = model.training
    try:
        with torch.no_grad():
            yield model.eval()
    finally:
        model.train(was_training)


class StreamingPredictor(Predictor):
    """A recurrent model: read the context once, then each further frame costs O(1)."""

    def prime(self, context: Tensor) -> Any:
        """Read `context` (B, T, C, H, W), T may be 0, and return the state after its last frame."""
        raise NotImplementedError

    def step(self, state: Any, frame: Tensor) -> tuple[Tensor, Any]:
        """Read `frame` (B, C, H, W); return the prediction of the frame after it and the new state."""
        raise NotImplementedError

    def unroll(self, request: Request) -> Iterator[Block]:
        """Prime on all but the last frame, then feed each prediction back."""
        state, frame = self.prime(request.context[:, :-1]), request.context[:, -1]
        for _ in range(request.horizon):
            frame, state = self.step(state, frame)
            yield Block(frame.unsqueeze(1))
