"""Requests to a model, the capabilities that it declares, and what it was trained for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from nextframe.core.clip import Task, check_frames
from nextframe.core.conditions import NO_CONDITIONS, OFFSETS, Conditions
from nextframe.core.config import Config
from nextframe.core.errors import NotSupportedError, UserError, did_you_mean

if TYPE_CHECKING:
    from nextframe.models.contract import Predictor

FOLLOWING, BETWEEN = "the frames that follow", "the frame between two others"


class ModelOptions(Config):
    """What a user may choose when predicting, not when building or training; each model's subclass has its fields."""

    in_export: ClassVar[Mapping[str, Any]] = {}  # values for an ONNX file: it cannot hold what the defaults do


class TrainedTask(Config):
    """What a model was trained for; a model folder stores it, so that a user need not repeat it."""

    context: int
    horizon: int
    size: tuple[int, int] | None = None  # (height, width)
    channels: int | None = None
    gap: int | None = None  # trained on the frame between two that are 2 * gap apart; None: on the frames that follow
    fps: float | None = None
    data: str = ""
    metrics: tuple[str, ...] = ()  # registered ones that it is measured by before the usual ones
    sources: tuple[str, ...] = ()  # texts in the names of published videos it was trained on: no test of it has them


@dataclass(frozen=True)
class Request:
    """The input of `forecast`. It has no frame of the future; conditions may reach into it.

    `context` is (B, T, C, H, W), float in [0, 1]; timed `conditions` have T + `horizon` entries; `generator` is the
    randomness of a stochastic model (None: torch's own); `options` are of the model's own type.
    """

    context: Tensor
    horizon: int
    conditions: Conditions = NO_CONDITIONS
    generator: torch.Generator | None = None
    options: ModelOptions = field(default_factory=ModelOptions)


class Block(NamedTuple):
    """The next k frames of a future, (B, k, C, H, W), and how sure each is, (B, k), of a model that says so."""

    frames: Tensor
    sure: Tensor | None = None


def gathered(blocks: Iterable[Block], horizon: int) -> Block:
    """Return the first `horizon` frames of `blocks` as one."""
    frames, sure = zip(*blocks, strict=True)
    known = None if sure[0] is None else torch.cat(sure, dim=1)[:, :horizon]
    return Block(torch.cat(frames, dim=1)[:, :horizon], known)


@dataclass(frozen=True)
class Capabilities:
    """What a model can take, so that callers need not know models by name."""

    trainable: bool = True
    stochastic: bool = False
    any_size: bool = True
    min_context: int = 1
    max_context: int | None = None  # None: any; equal to min_context: exactly that many
    channels: int | None = None  # None: any
    max_horizon: int | None = None  # None: any
    causal: bool = False  # a sequence model: its output at t depends on frames up to t only
    forecasts: bool = True  # can predict the frames that follow the context
    interpolates: bool = False  # can predict the frame between two context frames
    reads: int | None = None  # how many of the last context frames the prediction depends on; None: all of them

    needs: tuple[str, ...] = ()  # conditions that it cannot predict without
    uses: tuple[str, ...] = ()  # conditions that it takes, and can do without

    @classmethod
    def exactly(cls, frames: int, channels: int) -> Capabilities:
        """Return those of a trained model that takes `frames` context frames, no more and no fewer, of any size."""
        return cls(min_context=frames, max_context=frames, channels=channels, interpolates=frames == 2)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The names of all conditions that the model takes; it has no use for others of a data set."""
        return (*self.needs, *self.uses)

    def serves(self, task: Task) -> bool:
        """Whether the model can predict the target frames of `task`."""
        return self.forecasts if task.is_forecast else self.interpolates


def read_options(kind: type[ModelOptions], options: Mapping[str, Any] | ModelOptions | None, name: str) -> ModelOptions:
    """Return options of `kind`, from plain values or as they are.

    Raises:
        UserError: an option that the model `name` does not have, or a value out of range.
    """
    if isinstance(options, kind):
        return options
    values = options.model_dump() if isinstance(options, ModelOptions) else dict(options or {})
    for unknown in values.keys() - kind.model_fields.keys():
        raise UserError(f"{name} has no option '{unknown}'{did_you_mean(unknown, kind.model_fields)}")
    return kind.parse(values, where=name)


def check_request(can: Capabilities, request: Request, name: str) -> None:
    """Refuse a request that `can` does not cover, with a line that names what is taken."""
    check_frames_asked(can, request.context, request.horizon, name)
    check_conditions(can, request.conditions, name)
    given = request.context.shape[1]
    request.conditions.check(request.context.shape[0], given + request.horizon)
    offsets = request.conditions.get(OFFSETS)
    if offsets is not None and offsets.shape[1:] != (given,):
        shape = tuple(offsets.shape)
        raise UserError(f"the condition 'offsets' {shape} needs {given} entries, one for each context frame")


def check_frames_asked(can: Capabilities, context: Tensor, horizon: int, name: str) -> None:
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


def check_conditions(can: Capabilities, conditions: Conditions, name: str) -> None:
    """Refuse conditions that a model does not know, and the lack of one that it needs."""
    missing = [wanted for wanted in can.needs if wanted not in conditions]
    if missing:
        raise UserError(f"{name} cannot predict without the condition '{missing[0]}': give it, or data that has it")
    unknown = [given for given in conditions if given not in can.conditions]
    if unknown:
        takes = ", ".join(can.conditions) or "none"
        raise UserError(f"{name} does not know the condition '{unknown[0]}' (it takes: {takes})")


def check_task(model: Predictor, task: Task, name: str) -> None:
    """Refuse to predict next frames if the model can do, or has learned, only the one in the middle, or vice versa.

    A model that is told which frame is asked for can do both, whatever it was trained on: `task_note` says so.
    """
    if not model.capabilities.serves(task):
        raise NotSupportedError(f"{name} cannot predict {FOLLOWING if task.is_forecast else BETWEEN}")
    note = task_note(model, task, name)
    if note and OFFSETS not in model.capabilities.conditions:
        raise NotSupportedError(note)


def task_note(model: Predictor, task: Task, name: str) -> str | None:
    """Return a line that says so if the model was trained for another task than `task`, else None."""
    if model.trained is None or (model.trained.gap is None) == task.is_forecast:
        return None
    asked, other = (FOLLOWING, BETWEEN) if task.is_forecast else (BETWEEN, FOLLOWING)
    return f"{name} was trained to predict {other}, not {asked}"
