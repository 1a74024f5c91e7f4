"""What an evaluation found, and its JSON."""

from __future__ import annotations

import html
import json
import math
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.prediction.shown.charts import Chart
from nextframe.prediction.shown.panels import comparison_animation, comparison_strip
from nextframe.prediction.shown.show import PAUSE, Shown

MOST_SOURCES = 200  # each generated clip is a source: a list of more than these is of no use to a reader
ZERO = "zero"  # the all-zero prediction, which is listed with the baselines


@dataclass(frozen=True)
class Row:
    """One metric of one model: the mean over sources with its 95 % interval, and the mean of each horizon step.

    `per_source` has the mean of each source; a file has it for at most `MOST_SOURCES` of them.
    """

    model: str
    data: str
    split: str
    metric: str
    definition: str
    unit: str
    better: Literal["lower", "higher"]
    mean: float
    ci95: tuple[float, float] | None
    per_step: list[float]
    n: int
    per_source: dict[str, float] = field(default_factory=dict)

    def beats(self, other: Row) -> bool:
        """Whether this mean is better than the other's."""
        return self.mean < other.mean if self.better == "lower" else self.mean > other.mean


@dataclass(frozen=True)
class Example:
    """One example clip, uint8 (T, C, H, W): context, truth, and each model's prediction; and its place in the split."""

    source: str
    context: Tensor
    truth: Tensor
    predictions: dict[str, Tensor]
    index: int | None = None


@dataclass(frozen=True)
class Extreme:
    """The clip on which the model is furthest ahead of a baseline, or furthest behind, and by how much it is better."""

    example: Example
    gain: float


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Rows for the model and all that it is compared with; `run` says how they were made.

    `print` and a notebook show its tables.
    """

    model: str
    rows: list[Row]
    run: dict[str, Any]
    clips: int
    context: int
    fps: float = 10.0
    notes: list[str] = field(default_factory=list)
    examples: list[Example] = field(default_factory=list)
    beside: list[Row] = field(default_factory=list)  # of the context's reconstruction, or of components
    extremes: tuple[Extreme, ...] = ()  # the best and the worst clip against the best baseline, on the main metric

    @property
    def models(self) -> list[str]:
        """The evaluated model first, then its baselines."""
        return list(dict.fromkeys(row.model for row in self.rows))

    @property
    def baselines(self) -> list[str]:
        """What the model is compared with: not the best or the mean of its own samples."""
        own = f"{self.model} ("
        return [name for name in self.models if name != self.model and not name.startswith(own)]

    @property
    def reconstruction(self) -> list[Row]:
        """The rows of the context's reconstruction, with `compat="srivastava"`."""
        return [row for row in self.beside if row.metric.endswith("of the reconstruction")]

    @property
    def metrics(self) -> list[str]:
        """The metrics, the main one first."""
        return list(dict.fromkeys(row.metric for row in self.rows))

    @property
    def distinct_metrics(self) -> list[str]:
        """The metrics without sums over pixels whose mean is there too: those are the same at another scale."""
        return [m for m in self.metrics if m.removesuffix("-sum") == m or m.removesuffix("-sum") not in self.metrics]

    def row(self, model: str, metric: str) -> Row:
        """Return the row of `model` and `metric`; UserError if there is none."""
        for row in self.rows:
            if (row.model, row.metric) == (model, metric):
                return row
        raise UserError(f"there is no row for {model} and {metric}")

    def ranked(self, metric: str) -> list[Row]:
        """Return the rows of `metric`, the best first."""
        rows = [row for row in self.rows if row.metric == metric]
        return sorted(rows, key=lambda row: row.mean, reverse=rows[0].better == "higher")

    def best_baseline(self, metric: str) -> Row | None:
        """Return the best row of `metric` that is a baseline's; None if there is none."""
        return next((row for row in self.ranked(metric) if row.model in self.baselines), None)

    def __repr__(self) -> str:
        first = self.rows[0]
        return f"<Evaluation of {self.model} on {first.data}, {first.split} split: {first.metric} {first.mean:.4g}>"

    def __str__(self) -> str:
        from nextframe.evaluation.table import as_text  # which is made of evaluations

        return as_text(self)

    def _repr_html_(self) -> str:
        clips = self.show()._repr_html_() if self._kept else ""
        return f"{clips}<pre>{html.escape(str(self))}</pre>"

    @property
    def shown_models(self) -> list[str]:
        """The model and the best baseline, except zero, whose frames show nothing."""
        ranked = [row.model for row in self.ranked(self.metrics[0])]
        return [self.model, *[name for name in ranked if name in self.baselines and name != ZERO][:1]]

    @property
    def _kept(self) -> list[tuple[str, Example]]:
        """The best and the worst clip, or else the first one that was kept, each with what it is."""
        from nextframe.evaluation.verdict import extremes  # which are made of evaluations

        told = {each.example.index: (title, each.example) for title, each in extremes(self)}
        return list(told.values()) or [(example.source, example) for example in self.examples[:1]]

    def show(self) -> Shown:
        """Return the best and the worst clip, as a notebook plays them: the truth, the model and the best baseline.

        Raises:
            UserError: no clips were kept.
        """
        if not self._kept:
            raise UserError("no clips were kept to show: evaluate with examples=1")
        drawn = [(clip.context, clip.truth, self._futures(clip)) for _, clip in self._kept]
        frames = torch.cat([comparison_animation(*clip) for clip in drawn], dim=2)
        still = torch.cat([comparison_strip(*clip) for clip in drawn], dim=1)
        return Shown(frames, still, self.fps / PAUSE, ". ".join(title for title, _ in self._kept))

    def _futures(self, clip: Example) -> dict[str, Tensor]:
        return {name: clip.predictions[name] for name in self.shown_models}

    def plot(self, metric: str | None = None) -> Chart:
        """Return a chart of a metric at each predicted frame, a line for each model; None: of the main metric.

        Raises:
            UserError: a metric that was not measured.
        """
        rows = [self.row(model, metric or self.metrics[0]) for model in self.models]
        lines = {row.model: [(step, value) for step, value in enumerate(row.per_step, start=1)] for row in rows}
        return Chart(lines, "predicted frame", rows[0].metric, from_zero=rows[0].better == "lower")

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a page with clips, curves and tables, as .html, or the rows, as .json.

        Raises:
            UserError: another ending.
        """
        from nextframe.evaluation.report import write_report  # which is made of evaluations

        path = Path(path)
        if path.suffix == ".html":
            return write_report(self, self.examples, path, title=f"{self.model} on {self.rows[0].data}")
        if path.suffix != ".json":
            raise UserError(f"{path}: an evaluation is written as .html or .json")
        self.write_json(path)
        return path

    def as_json(self) -> dict[str, Any]:
        """Return {"rows", "differences", "run"} of plain values; a number that is not finite is null."""
        from nextframe.evaluation.verdict import differences  # which are made of evaluations

        rows = [asdict(_as_stored(row)) for row in [*self.rows, *self.beside]]
        found = [asdict(each) for each in differences(self)]
        return {"rows": _finite(rows), "differences": _finite(found), "run": dict(self.run)}

    def write_json(self, path: str | os.PathLike[str]) -> None:
        """Write `as_json` to `path`, whole or not at all."""
        write_whole(Path(path), json.dumps(self.as_json(), indent=1, allow_nan=False) + "\n")


def _as_stored(row: Row) -> Row:
    return row if len(row.per_source) <= MOST_SOURCES else replace(row, per_source={})


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
