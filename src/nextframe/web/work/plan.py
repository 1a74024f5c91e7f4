"""What is predicted of a visitor's clip, and the command line and the Python that do the same."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.web.limits import WebLimits

if TYPE_CHECKING:
    from nextframe.media.source import Source


class Job(Config):
    """A visitor's request; the server has checked its paths."""

    clip: str
    name: str  # the visitor's name of the clip
    model: str  # what `resolve_model` takes
    model_name: str
    beside: str = ""  # the same of a second model; "": none
    beside_name: str = ""
    frames: int = Field(10, ge=1)
    split: float = Field(0.5, ge=0, le=1)
    one_step: bool = False
    samples: int = Field(1, ge=1)
    side: int = Field(256, ge=16)
    folder: str  # where results go
    limits: WebLimits = WebLimits()

    @property
    def models(self) -> dict[str, str]:
        """What to load for each model, by its name for visitors."""
        second = {self.beside_name: self.beside} if self.beside else {}
        return {self.model_name: self.model} | second


@dataclass(frozen=True)
class Plan:
    """What is predicted: `frames` frames from number `at` on, whose truth is `known`, at `size` (None: the clip's).

    `shape` is the (height, width) that the frames then have.
    """

    count: int  # frames of the clip
    at: int
    frames: int
    known: bool
    size: tuple[int, int] | None
    shape: tuple[int, int]

    @classmethod
    def of(cls, job: Job, source: Source, count: int) -> Plan:
        """Return the plan for a clip of `count` frames.

        Raises:
            UserError: one step at a time after the clip's end.
        """
        at = min(max(1, round(job.split * count)), count)
        known = count - at
        if job.one_step and known == 0:
            raise UserError("one step at a time needs frames after the split: choose an earlier split")
        frames = min(job.frames, known) if known else job.frames
        size = smaller(source.height, source.width, job.side)
        return cls(count, at, frames, known > 0, size, size or (source.height, source.width))


@dataclass(frozen=True)
class How:
    """How a model predicts: its name for visitors, how many futures, and whether at the size of its training."""

    name: str
    samples: int
    fit: bool


def smaller(height: int, width: int, side: int) -> tuple[int, int] | None:
    """Return the size at which the longest side is `side`; None: it is no longer than that."""
    longest = max(height, width)
    if longest <= side:
        return None
    return max(1, round(height * side / longest)), max(1, round(width * side / longest))


def outputs(number: int) -> str:
    """Return the name, without its ending, of the files that are downloaded of model `number`, from 1."""
    return "prediction" if number == 1 else f"prediction-{number}"


def command(job: Job, plan: Plan, how: How, number: int) -> str:
    """Return the command line that writes the same prediction.gif of model `number`."""
    words = ["nextframe", "predict", job.name, "--model", how.name, "-n", str(plan.frames), "--at", str(plan.at)]
    words += ["--size", f"{plan.size[0]}x{plan.size[1]}"] if plan.size else []
    words += ["--fit"] if how.fit else []
    words += ["--samples", str(how.samples)] if how.samples > 1 else []
    words += ["--set", "predict.one_step=true"] if job.one_step else ["--compare"] if plan.known else []
    return shlex.join([*words, "--set", "predict.with_context=true", "-o", f"{outputs(number)}.gif"])


def python(job: Job, plan: Plan, how: How, number: int) -> str:
    """Return the lines of Python that do what `command` does."""
    chosen: dict[str, Any] = {"at": plan.at}
    chosen |= {"size": plan.size} if plan.size else {}
    chosen |= {"fit": True} if how.fit else {}
    chosen |= {"samples": how.samples} if how.samples > 1 else {}
    chosen |= {"one_step": True} if job.one_step else {"compare": True} if plan.known else {}
    more = "".join(f", {key}={value!r}" for key, value in chosen.items())
    made = f"prediction = nextframe.predict({job.name!r}, {how.name!r}, {plan.frames}{more})"
    return f'{made}\nprediction.save("{outputs(number)}.gif", with_context=True)'
