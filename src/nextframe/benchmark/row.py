"""A row of a leaderboard: one JSON file that says what was measured, on what, and how the model was made."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from nextframe.checkpoint.renames import renamed_section
from nextframe.core.config import Config
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.formats import Formats
from nextframe.core.files.whole_file import write_whole
from nextframe.evaluation.scores import mean_interval

MACS = (
    "multiply-accumulates of one predicted clip: those of convolutions and matrix products, as "
    "torch.utils.flop_counter counts them, halved; pixel-wise work and optical flow are not counted"
)
_MAX_BYTES = 4 << 20


class Figure(Config):
    """One metric: the mean over sources, its 95 % interval (None for one source), and each step's mean."""

    metric: str
    definition: str
    unit: str
    better: Literal["lower", "higher"]
    mean: float | None  # None: not finite
    ci95: tuple[float | None, float | None] | None
    per_step: list[float | None]
    n: int  # sources
    per_source: dict[str, float | None] = Field(default_factory=dict)  # each one's mean; empty: too many of them

    def without(self, sources: Collection[str]) -> Figure:
        """Return the figure over all other sources; the means of single steps are not known then."""
        kept = {name: value for name, value in self.per_source.items() if name not in sources}
        values = [value for value in kept.values() if value is not None]
        mean, ci95 = mean_interval(np.array(values)) if values and len(values) == len(kept) else (None, None)
        return self.model_copy(update={"mean": mean, "ci95": ci95, "per_step": [], "n": len(kept), "per_source": kept})


class TaskFacts(Config):
    """The task as it was when the row was made."""

    name: str
    hash: str
    definition: dict[str, Any]


class DataFacts(Config):
    """What was measured on: the fingerprint is of the held-out sources' names and numbers of clips."""

    name: str
    split: str
    clips: int
    sources: int
    fingerprint: str


class TrainingFacts(Config):
    """How the model was trained."""

    budget: dict[str, float]  # {"minutes": 30} or {"steps": 1000}
    steps: int
    seconds: float
    cpu_seconds: float | None = None  # of the last process that trained: less than `seconds` where cores are shared
    batch: int
    clips_seen: int  # steps times batch
    clips: int | None  # of the train split; None: generated without end
    recipe: dict[str, Any]


def _with_originals(row: dict[str, Any]) -> dict[str, Any]:
    """In format 2 the forms of papers and notebooks are models of their own, not fields of a config."""
    model = renamed_section({"name": row.get("model"), "fields": row.get("config")})
    row = {**row, "model": model["name"], "config": model["fields"]}
    training = row.get("training")
    recipe = training.get("recipe") if isinstance(training, dict) else None
    if isinstance(training, dict) and isinstance(recipe, dict):
        recipe = {**recipe, "model": renamed_section(recipe.get("model"))}
        row["training"] = {**training, "recipe": recipe}
    return row


ROW_FORMATS = Formats({1: _with_originals})


class BenchmarkRow(Config):
    """One model on one task. Paths are relative to the row's file."""

    format: Literal[2] = 2
    entry: str
    model: str
    kind: Literal["baseline", "trained"]
    config: dict[str, Any]
    parameters: int
    macs: int
    macs_definition: str = MACS
    clips_per_s: float | None = None  # None: made before it was measured
    task: TaskFacts
    data: DataFacts
    training: TrainingFacts | None
    figures: list[Figure] = Field(min_length=1)
    run: dict[str, Any]
    model_folder: str
    strip: str
    seen: list[str] = Field(default_factory=list)  # sources of the held-out split that it was trained on material of

    def figure(self, metric: str) -> Figure | None:
        """Return the figure of `metric`, None if the row has none."""
        return next((figure for figure in self.figures if figure.metric == metric), None)

    @property
    def sources(self) -> list[str]:
        """The names of the held-out sources; empty if there are too many to list."""
        return list(self.figures[0].per_source)

    def without(self, texts: Collection[str]) -> BenchmarkRow:
        """Return the row over the sources whose names contain none of `texts`."""
        gone = named(self.sources, texts)
        figures = [figure.without(gone) for figure in self.figures] if gone else self.figures
        return self.model_copy(update={"figures": figures, "seen": [name for name in self.seen if name not in gone]})

    def write(self, path: Path) -> None:
        """Write the row, whole or not at all."""
        write_whole(path, json.dumps(self.model_dump(mode="json"), indent=1, allow_nan=False) + "\n")


def named(sources: Iterable[str], texts: Collection[str]) -> list[str]:
    """Return those of `sources` whose names contain one of `texts`."""
    return [name for name in sources if any(text in name for text in texts)]


def read_row(path: Path) -> BenchmarkRow:
    """Return the row of file `path`.

    Raises:
        BadInputError: no such file, not a row, or a row whose paths lead out of its folder.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise BadInputError(path, "is over 4 MiB, so it is not a row of a leaderboard")
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(path, f"cannot be read ({error.strerror})", "give the JSON file of a row") from None
    except (ValueError, RecursionError) as error:
        raise BadInputError(path, f"is not JSON ({error})") from None
    if not isinstance(values, dict) or "figures" not in values:
        raise BadInputError(path, "is not a row of a leaderboard", "give a file that nextframe benchmark wrote")
    row = BenchmarkRow.parse(ROW_FORMATS.migrate(values, path), where=str(path))
    for part in (row.model_folder, row.strip):
        if Path(part).is_absolute() or ".." in Path(part).parts:
            raise BadInputError(path, f"the path '{part}' leads out of the row's folder")
    return row


def find_rows(paths: list[Path]) -> list[Path]:
    """Return the row files that `paths` are, or that lie directly in the folders among them, by name.

    Raises:
        UserError: nothing there.
    """
    found: list[Path] = []
    for path in paths:
        found += sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not found:
        raise UserError(f"{paths[0] if paths else 'no path'}: there are no rows; nextframe benchmark TASK makes them")
    return list(dict.fromkeys(found))
