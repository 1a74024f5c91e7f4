"""A task that only measures: which clips of which videos, and what of each predicted frame. Nothing is trained."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from torch import Tensor

from nextframe.benchmark.real.motion import Motion
from nextframe.core.clip import Task
from nextframe.core.config import Config
from nextframe.core.errors import UserError


class RealConfig(Config):
    """What may be chosen in a task whose `settings` name the field."""

    exclude: tuple[str, ...] = Field((), description="skip sources whose names contain one of these texts")
    apart: tuple[str, ...] = Field((), description="files are not encodings of one video if their names contain these")
    given: int | None = Field(None, ge=1, description="context frames of a clip; null: what the task says")
    adapt: float | None = Field(
        None, gt=0, description="seconds: a second row of each trained model, tuned on each clip's context frames"
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="a second row of each model that has such options when predicting"
    )


@dataclass(frozen=True)
class VideoClip:
    """One clip: `frames` (T, 3, H, W) uint8, and, if there is a second pass, the same frames `large`.

    `motion` is what moves, "" if the task does not ask.
    """

    source: str
    file: str
    start: int
    frames: Tensor
    large: Tensor | None = None
    motion: Motion | str = ""
    near_still: bool = False


@dataclass
class Clips:
    """The clips of each source, read when they are asked for, and what is not measured, with the reason.

    `excluded` is by the user's choice, `skipped` what has no clip, which may come to light when a source is read.
    """

    sources: dict[str, Callable[[], Iterable[VideoClip]]]
    excluded: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class VideoTask:
    """One task. A figure is decided by `definition` and by the videos."""

    name: str
    about: str
    wants: str  # what to give with --data
    task: Task  # which frames of a clip are context and which are target
    metrics: tuple[str, ...]  # of `measure.definitions`; the first ranks
    open: Callable[[str, Task, RealConfig], Clips]  # of --data
    means: str  # in words, what has the same weight in a mean: "clips", or "sources"
    facts: Mapping[str, Any]  # what else decides a figure, as plain values
    settings: tuple[str, ...] = ()  # the fields of RealConfig that it takes
    compared: bool = False  # whether each model is compared with rivals, source by source
    overlap: bool = False  # whether clips share frames: then an interval over clips would be too narrow
    clips: int | None = None  # as many as there are in the published split

    @property
    def definition(self) -> dict[str, Any]:
        """What decides a figure besides the videos, as plain values."""
        frames = {"context": self.task.context, "horizon": self.task.horizon}
        means = {"means_over": self.means, "metrics": list(self.metrics)}
        return {"name": self.name, **frames, **means, **self.facts}

    @property
    def hash(self) -> str:
        """The first 16 digits of the SHA-256 of `definition`."""
        return hashlib.sha256(json.dumps(self.definition, sort_keys=True).encode()).hexdigest()[:16]

    def check(self, config: RealConfig) -> None:
        """Refuse a setting that this task does not take; UserError says which."""
        for name in sorted(config.model_fields_set):
            if name not in self.settings:
                raise UserError(f"setting 'real.{name}': {self.name} is fixed; omit it")
