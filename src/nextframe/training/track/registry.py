"""What a tracker is, and the registry of their names."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nextframe.core.errors import NotSupportedError
from nextframe.core.registry import Registry, takes


@dataclass(frozen=True)
class Tracked:
    """What a tracker is told of the run when it is opened.

    `step` is the last one whose log is kept: 0, or that of the checkpoint which is resumed. `id` is what the tracker
    had as its `id` when it was open for this run before; "": it was not. `settings` is the recipe as nested mappings.
    """

    folder: Path
    step: int
    id: str
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the run folder, without the folders above it."""
        return self.folder.resolve().name


class Tracker(Protocol):
    """One place that a run is logged to. Any method may raise: the tracker is then dropped, and the run goes on.

    `id` finds the run there again when it is resumed; "": nothing is needed. `where` tells the user where to look; "":
    nothing to tell. `endings` says which files it takes.
    """

    id: str
    where: str
    endings: tuple[str, ...]

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a line of metrics.jsonl; a resumed run logs some steps again, with equal values."""

    def media(self, step: int, name: str, path: Path) -> None:
        """Take an image or animation: a file with one of `endings`."""

    def close(self, scores: Mapping[str, float], finished: bool) -> None:
        """Take the scores of the weights that were kept, and end; not `finished`: interrupted, or an error."""


TRACKERS: Registry[Callable[[Tracked], Tracker]] = Registry(
    "tracker",
    "nextframe.trackers",
    "a function of a Tracked that returns a Tracker",
    lambda name, thing: takes(thing, 1),
)
TRACKERS.add("tensorboard", "nextframe.training.track.tensorboard:TensorBoard")
TRACKERS.add("wandb", "nextframe.training.track.wandb:WeightsAndBiases")
TRACKERS.add("mlflow", "nextframe.training.track.mlflow:MLflow")
LIBRARIES = {"wandb": "wandb", "mlflow": "mlflow"}  # what is not installed with nextframe itself


def check_installed(names: Iterable[str]) -> None:
    """Refuse a tracker whose library is not there, before any work.

    Raises:
        NotSupportedError: the line says which extra has it.
    """
    for name in names:
        if name in LIBRARIES and importlib.util.find_spec(LIBRARIES[name]) is None:
            raise NotSupportedError(f"training.track={name} needs {LIBRARIES[name]}: pip install 'nextframe[track]'")
