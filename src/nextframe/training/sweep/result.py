"""What a sweep has found: its trials, the best of them, and the files that say so."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from nextframe.core.errors import NextframeError
from nextframe.core.files.whole_file import write_whole
from nextframe.prediction.shown.charts import Chart
from nextframe.training.recipe import Recipe, read_recipe


@dataclass(frozen=True)
class Trial:
    """One training of a sweep: what was set, and the lowest validation; None: it failed before one, `why` says how.

    A "pruned" trial was stopped because it was behind most others at the same step.
    """

    number: int
    state: Literal["done", "pruned", "failed"]
    value: float | None
    settings: dict[str, Any]
    folder: str
    why: str = ""


@dataclass(frozen=True)
class Sweep:
    """The trials of the sweep in `folder` that have ended, the best first; lower values of `monitor` are better."""

    folder: Path
    monitor: str
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Path:
        """The run folder of the best trial that was trained to its end.

        Raises:
            NextframeError: there is none.
        """
        done = [trial for trial in self.trials if trial.state == "done"]
        if not done:
            raise NextframeError(f"{self.folder}: no trial was trained to its end; raise the number of trials")
        return self.folder / done[0].folder

    @property
    def recipe(self) -> Recipe:
        """The recipe of the best trial."""
        return read_recipe(self.best)

    def __str__(self) -> str:
        names = list(self.trials[0].settings) if self.trials else []
        rows = [["trial", self.monitor, *names, ""]]
        for trial in self.trials:
            value = "" if trial.value is None else f"{trial.value:.6g}"
            remark = "" if trial.state == "done" else f"{trial.state}: {trial.why}" if trial.why else trial.state
            rows.append([trial.folder, value, *(_written(trial.settings.get(name)) for name in names), remark])
        return _table(rows)

    def plot(self) -> Chart:
        """Return a chart of the trials by number: the value of each that has one, and the best up to then."""
        known = sorted((t.number, t.value) for t in self.trials if t.value is not None)
        lowest = accumulate((value for _, value in known), min)
        best = [(number, value) for (number, _), value in zip(known, lowest, strict=True)]
        return Chart({"best so far": best, "trial": known}, "trial", self.monitor)

    def _repr_html_(self) -> str:
        return f"{self.plot()._repr_html_()}<pre>{html.escape(str(self))}</pre>"

    def write(self) -> None:
        """Write results.json, results.md and, once a trial is done, best.yaml, a recipe that can be trained."""
        facts = {"monitor": self.monitor, "trials": [asdict(trial) for trial in self.trials]}
        write_whole(self.folder / "results.json", json.dumps(facts, indent=1) + "\n")
        write_whole(self.folder / "results.md", f"{self}\n")
        if any(trial.state == "done" for trial in self.trials):
            write_whole(self.folder / "best.yaml", self.recipe.to_yaml())


def ranked(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Return the trials that were done by their values, then the pruned ones, then those that failed."""
    order = ("done", "pruned", "failed")
    return tuple(sorted(trials, key=lambda t: (order.index(t.state), t.value is None, t.value, t.number)))


def _written(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value) if isinstance(value, list) else str(value)


def _table(rows: list[list[str]]) -> str:
    """Return rows, the first of them the head, as a table of Markdown whose columns are aligned."""
    rows = [[cell.replace("|", "/") for cell in row] for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]
    rows.insert(1, ["-" * width for width in widths])
    lines = ["| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |" for row in rows]
    return "\n".join(lines)
