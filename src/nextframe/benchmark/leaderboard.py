"""Rows that can be compared, ranked; and one HTML page of them that loads nothing from elsewhere."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from nextframe.benchmark.cells import (
    half_width,
    paired_range,
    short_count,
    short_names,
    shown,
    shown_speed,
    without_folders,
)
from nextframe.benchmark.row import MACS, BenchmarkRow, Figure, named, read_row
from nextframe.benchmark.speed.rate import SPEED
from nextframe.benchmark.tasks import TASKS
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.evaluation.scores import mean_interval
from nextframe.evaluation.table import ARROW
from nextframe.models import MODELS

TEMPLATE = "leaderboard.html.j2"
MAX_IMAGE = 8 << 20  # bytes
FACTS = ("date", "machine", "commit", "seed", "seconds")


@dataclass(frozen=True)
class Line:
    """One row as it is shown."""

    row: BenchmarkRow
    rank: int
    gain: float | None  # per cent better than the reference on the ranking metric
    paired: tuple[float, float] | None  # 95 % interval of the gain, from the differences source by source
    image: str  # a data: URL, "" without one

    @property
    def reference(self) -> str:
        """What a reference row is in words, "" for any other."""
        return reference(self.row.model)

    @property
    def trained(self) -> str:
        """The training in a few words."""
        facts = self.row.training
        if facts is None:
            return "no training" if self.row.kind == "baseline" else "trained before, not on this task"
        budget = ", ".join(f"{value:g} {unit}" for unit, value in facts.budget.items())
        done = f"{facts.steps:,} steps, {facts.clips_seen:,} clips, {facts.seconds / 60:.1f} min"
        return f"budget {budget}: {done}"

    @property
    def command(self) -> str:
        """What was typed, "" if that is not known; no folder of the machine stands in it."""
        return without_folders(str(self.row.run.get("command") or ""))

    @property
    def facts(self) -> dict[str, Any]:
        """How the row was made, for the page."""
        named = {name: self.row.run.get(name) for name in FACTS}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def config(self) -> str:
        """The model's config on one line."""
        return json.dumps(self.row.config)


@dataclass(frozen=True)
class Board:
    """Rows that can be compared: one definition of a task, and the same held-out clips.

    `excluded` are held-out sources that no figure counts.
    """

    lines: list[Line]
    excluded: list[str]

    @property
    def first(self) -> BenchmarkRow:
        """Any row, for what all have in common."""
        return self.lines[0].row

    @property
    def about(self) -> str:
        """One sentence on the task, "" for one that this version does not know."""
        name = self.first.task.name
        return TASKS.get(name).about if name in TASKS else ""

    @property
    def metrics(self) -> list[Figure]:
        """The figures of the first row: their names, definitions and units; the ranking metric first."""
        return self.first.figures

    @property
    def clips(self) -> str:
        """What was measured, in words."""
        data = self.first.data
        whole = f"{data.clips} held-out clips from {data.sources} sources ({data.split} split)"
        fewer = f"; all figures are over {self.first.figures[0].n} sources, without {', '.join(self.excluded)}"
        return whole + (fewer if self.excluded else "")

    @property
    def timed(self) -> bool:
        """Whether any row says how many clips are predicted in a second."""
        return any(line.row.clips_per_s is not None for line in self.lines)

    @property
    def notes(self) -> list[str]:
        """A line for each row whose model was trained on material of held-out sources."""
        return [
            f"{line.row.entry} was trained on material of {len(line.row.seen)} of these sources, so its figures say "
            f"less about them: {', '.join(short_names(line.row.seen, line.row.sources))}"
            for line in self.lines
            if line.row.seen
        ]

    @property
    def finding(self) -> str:
        """Which trained models are better than the reference, in one sentence."""
        trained = [line for line in self.lines if line.row.kind == "trained"]
        reference = next((line.reference for line in self.lines if line.reference), None)
        if not trained or reference is None:
            return ""
        better = [line for line in trained if (line.gain or 0) > 0]
        names = f" ({', '.join(dict.fromkeys(line.row.entry for line in better))})" if better else ""
        sure = sum(line.paired is not None and line.paired[0] > 0 for line in better)
        found = f"{len(better)} of {len(trained)} trained rows beat {reference} on {self.metrics[0].metric}{names}"
        return f"{found}; {sure} by more than the 95 % interval of the gain." if better else f"{found}."


def boards(paths: Sequence[Path], exclude: Sequence[str] = ()) -> list[Board]:
    """Read the rows at `paths` and rank them, a board for each task.

    Args:
        paths: the rows' files.
        exclude: texts; means are over the sources whose names contain none of them.

    Raises:
        BadInputError: a file that is not a row.
        UserError: a text to exclude that is in no source's name, or in all of a row's.
    """
    rows = [read_row(path) for path in paths]
    check_excluded(rows, exclude)
    return rank(list(zip(rows, paths, strict=True)), exclude)


def rank(rows: Sequence[tuple[BenchmarkRow, Path]], exclude: Sequence[str] = ()) -> list[Board]:
    """Rank rows, each with its file, a board for each task; `exclude` is as for `boards`, and not checked."""
    groups: dict[tuple[str, ...], list[tuple[BenchmarkRow, Path]]] = {}
    for row, path in rows:
        key = (row.task.name, row.task.hash, row.data.split, row.data.fingerprint)
        groups.setdefault(key, []).append((row, path))
    return [_board(group, exclude) for _, group in sorted(groups.items(), key=lambda item: item[0])]


def reference(model: str) -> str:
    """Return what `model` predicts, in words, if it is the reference; "" for any other."""
    return MODELS.get(model).reference if model in MODELS else ""


def check_excluded(rows: Sequence[BenchmarkRow], exclude: Sequence[str]) -> None:
    """Refuse texts that exclude nothing, everything, or from rows that do not list their sources."""
    for text in exclude:
        if not any(named(row.sources, [text]) for row in rows):
            raise UserError(f"--exclude {text}: no row lists a source whose name contains it")
    for row in rows:
        if row.sources and len(named(row.sources, exclude)) == len(row.sources):
            raise UserError(f"--exclude {','.join(exclude)}: nothing is left of {row.entry} on {row.task.name}")


def _board(group: list[tuple[BenchmarkRow, Path]], exclude: Sequence[str]) -> Board:
    excluded = named(group[0][0].sources, exclude)
    group = [(row.without(exclude), path) for row, path in group]
    base = next((row for row, _ in group if reference(row.model)), None)
    ranked = sorted(group, key=lambda item: _order(item[0].figures[0]))
    return Board(
        [
            Line(row, rank, _gain(row, base), _paired(row, base), _image(row, path))
            for rank, (row, path) in enumerate(ranked, 1)
        ],
        excluded,
    )


def _order(figure: Figure) -> tuple[bool, float]:
    """Sort by the ranking metric, the best first and values that are not finite last."""
    sign = 1 if figure.better == "lower" else -1
    return figure.mean is None, sign * (figure.mean or 0.0)


def _gain(row: BenchmarkRow, reference: BenchmarkRow | None) -> float | None:
    """Return how many per cent better than the reference's the ranking figure is."""
    mine, its = row.figures[0].mean, reference.figures[0].mean if reference else None
    if mine is None or not its or row is reference:
        return None
    sign = -1 if row.figures[0].better == "lower" else 1
    return sign * 100 * (mine / its - 1)


def _paired(row: BenchmarkRow, reference: BenchmarkRow | None) -> tuple[float, float] | None:
    """Return the 95 % interval of `_gain` over sources: most of what a source is, easy or hard, cancels out."""
    if reference is None or row is reference or not reference.figures[0].mean:
        return None
    mine, its = row.figures[0].per_source, reference.figures[0].per_source
    sign = -1 if row.figures[0].better == "lower" else 1
    gains = [sign * (mine[s] - its[s]) for s in its if mine.get(s) is not None and its[s] is not None]  # type: ignore[operator]
    if not gains:
        return None
    interval = mean_interval(np.array(gains))[1]
    scale = 100 / abs(reference.figures[0].mean)
    return (interval[0] * scale, interval[1] * scale) if interval else None


def _image(row: BenchmarkRow, path: Path) -> str:
    image = path.parent / row.strip
    if not image.is_file():
        return ""
    content = image.read_bytes()
    if len(content) > MAX_IMAGE or not content.startswith(b"\x89PNG"):
        raise BadInputError(image, "is not a PNG image of up to 8 MiB")
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def write_leaderboard(paths: Sequence[Path], output: Path, exclude: Sequence[str] = ()) -> Path:
    """Write the rows at `paths` as one self-contained HTML page to `output`; `exclude` is as for `boards`."""
    environment = Environment(
        loader=PackageLoader("nextframe", "benchmark"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {
        "number": shown,
        "spread": half_width,
        "count": short_count,
        "paired": paired_range,
        "speed": shown_speed,
    }
    page = environment.get_template(TEMPLATE).render(boards=boards(paths, exclude), arrow=ARROW, macs=MACS, speed=SPEED)
    write_whole(output, page)
    return output
