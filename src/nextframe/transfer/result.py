"""What a transfer experiment found: rows with error bars, gains of pretraining, JSON, a table and a plot."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.evaluation.scores import mean_interval

if TYPE_CHECKING:
    from rich.table import Table

ACCURACY = "share of the videos whose class has the highest probability, averaged over a video's windows"
GAIN = "accuracy of pretrained less random weights on the same draw of labelled videos, averaged over the draws"
DEFINITIONS = {
    "fine-tuned": "softmax after every step of the pretrained encoder; all weights trained",
    "frozen": "softmax after every step of the pretrained encoder, whose weights are frozen",
    "random": "the same classifier from random weights; all weights trained",
    "probe": "logistic regression on the model's features, averaged over a video's windows",
    "single-frame": "logistic regression on single frames, averaged over the first frames of a video's windows",
}


@dataclass(frozen=True)
class TransferRow:
    """The accuracy of one model and method with `per_class` labelled videos of each class (None: all), draw by draw."""

    model: str
    method: str
    data: str
    split: str
    per_class: int | None
    labelled: int  # labelled videos in total
    accuracies: list[float]
    n: int  # test videos
    seconds: float

    @property
    def mean(self) -> float:
        """Mean accuracy over the draws."""
        return float(np.mean(self.accuracies))

    @property
    def ci95(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean over draws; None: one draw."""
        return interval(self.accuracies)

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "model": self.model,
            "method": self.method,
            "data": self.data,
            "split": self.split,
            "metric": "accuracy",
            "definition": f"{ACCURACY}; {DEFINITIONS[self.method]}",
            "unit": "share",
            "better": "higher",
            "videos_per_class": "all" if self.per_class is None else self.per_class,
            "labelled_videos": self.labelled,
            "mean": round(self.mean, 5),
            "ci95": self.ci95,
            "per_draw": [round(value, 5) for value in self.accuracies],
            "n": self.n,
            "seconds": self.seconds,
        }

    def __str__(self) -> str:
        return f"{self.model} {self.method}, {_amount(self)}: {percent(self.mean, self.ci95)}"


@dataclass(frozen=True)
class TransferResult:
    """All rows of an experiment, its settings, and how it was run; `earlier` has the same for rows that were added."""

    rows: list[TransferRow]
    settings: dict[str, Any]
    run: dict[str, Any]
    earlier: list[dict[str, Any]] = field(default_factory=list)

    def origin(self) -> dict[str, Any]:
        """Return the origin of these rows, for a result that they are added to."""
        own = sorted({f"{row.model} {row.method}, {_amount(row)}" for row in self.rows})
        return {"rows": own, "settings": self.settings, "run": self.run}

    def gains(self) -> list[dict[str, Any]]:
        """Return what pretraining gains over random weights, draw by draw, for each model and amount of labels."""
        found = []
        random = {(row.model, row.per_class): row for row in self.rows if row.method == "random"}
        for row in self.rows:
            twin = random.get((row.model, row.per_class))
            if row.method not in ("fine-tuned", "frozen") or twin is None:
                continue
            differences = [a - b for a, b in zip(row.accuracies, twin.accuracies, strict=False)]
            found.append(
                {
                    "model": row.model,
                    "method": row.method,
                    "videos_per_class": "all" if row.per_class is None else row.per_class,
                    "definition": GAIN,
                    "mean": round(float(np.mean(differences)), 5),
                    "ci95": interval(differences),
                    "error_bars_apart": apart(row, twin),
                }
            )
        return found

    def write_json(self, path: Path) -> None:
        """Write rows, gains, settings and run facts to `path`."""
        whole = {
            "rows": [row.as_json() for row in self.rows],
            "gains": self.gains(),
            "settings": self.settings,
            "run": self.run,
            "earlier": self.earlier,
        }
        write_whole(path, json.dumps(whole, indent=1) + "\n")

    def table(self) -> Table:
        """Return a table: a row for each model and method, a column for each amount of labels."""
        from rich import box
        from rich.table import Table

        amounts = sorted({row.per_class for row in self.rows}, key=lambda count: math.inf if count is None else count)
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for name in ("model", "method"):
            table.add_column(name, no_wrap=True)
        for amount in amounts:
            table.add_column("all" if amount is None else str(amount), justify="right", no_wrap=True)
        for model, method in dict.fromkeys((row.model, row.method) for row in self.rows):
            own = {row.per_class: row for row in self.rows if (row.model, row.method) == (model, method)}
            cells = [percent(own[a].mean, own[a].ci95) if a in own else "" for a in amounts]
            table.add_row(model, method, *cells)
        return table


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the 95 % interval of the mean of `values` by Student's t; None for fewer than two."""
    _, found = mean_interval(np.array(values))
    return None if found is None else (round(found[0], 5), round(found[1], 5))


def _amount(row: TransferRow) -> str:
    return "all videos" if row.per_class is None else f"{row.per_class} per class"


def apart(one: TransferRow, other: TransferRow) -> bool:
    """Whether `one` is better than `other` by more than both error bars: its interval begins above the other's end."""
    return one.ci95 is not None and other.ci95 is not None and one.ci95[0] > other.ci95[1]


def percent(mean: float, ci95: tuple[float, float] | None) -> str:
    """Return "45.3 ±2.1" of an accuracy and its interval."""
    return f"{100 * mean:.1f}" + ("" if ci95 is None else f" ±{50 * (ci95[1] - ci95[0]):.1f}")


def joined(results: Sequence[TransferResult]) -> TransferResult:
    """Return all rows in one result; of two rows for the same model, method and amount the later one counts.

    Raises:
        UserError: nothing to join, or results on different videos, which cannot share a table.
    """
    if not results:
        raise UserError("give run folders or models, or earlier results with --with FILE.json")
    last, earlier = results[-1], []
    rows: dict[tuple[str, str, int | None], TransferRow] = {}
    for result in results:
        for name, value in _fixed(result).items():
            if _fixed(last)[name] != value:
                raise UserError(f"results with another {name} ({value}, {_fixed(last)[name]}) cannot be joined")
        for row in result.rows:
            if (row.data, row.split, row.n) != (last.rows[0].data, last.rows[0].split, last.rows[0].n):
                ours = f"{last.rows[0].n} {last.rows[0].split} videos of {last.rows[0].data}"
                raise UserError(f"results on {row.n} {row.split} videos of {row.data} and on {ours} cannot be joined")
            rows[row.model, row.method, row.per_class] = row
        earlier += result.earlier if result is last else [*result.earlier, result.origin()]
    return replace(last, rows=list(rows.values()), earlier=earlier)


def _fixed(result: TransferResult) -> dict[str, Any]:
    """Return the settings that determine the videos, windows and pixels of every row of a table."""
    transfer, data = result.settings.get("transfer", {}), result.settings.get("data", {})
    return {name: transfer.get(name) for name in ("seed", "window", "stride")} | {"size": data.get("size")}


def read_result(path: Path) -> TransferResult:
    """Return the result that `write_json` wrote to `path`; UserError if it is something else."""
    try:
        whole = json.loads(path.read_text(encoding="utf-8"))
        rows = [_row(values) for values in whole["rows"]]
        return TransferResult(rows, whole["settings"], whole["run"], whole["earlier"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: is not a result of nextframe transfer ({type(error).__name__}: {error})") from None


def _row(values: dict[str, Any]) -> TransferRow:
    amount = values["videos_per_class"]
    model, method, data, split = (str(values[name]) for name in ("model", "method", "data", "split"))
    return TransferRow(
        model,
        method,
        data,
        split,
        None if amount == "all" else int(amount),
        int(values["labelled_videos"]),
        [float(value) for value in values["per_draw"]],
        int(values["n"]),
        float(values["seconds"]),
    )
