"""What a run is asked for, as it is sent to the processes that train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nextframe.data import ClipSet
from nextframe.models.contract import Predictor
from nextframe.training.recipe import Recipe

Watch = Callable[[int, float], bool]  # called with a step and the monitored value of its validation; True: stop


@dataclass(frozen=True)
class Job:
    """The arguments of `train`; they are sent to the processes that train."""

    recipe: Recipe
    folder: Path
    resume: bool = False
    devices: int = 1
    show: bool = True
    model: Predictor | None = None
    clips: ClipSet | None = None
    machines: int = 1
    watch: Watch | None = None
