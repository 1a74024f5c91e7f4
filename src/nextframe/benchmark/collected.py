"""Rows of a task in one file, which shares of a table fill one after the other: on one machine or on several."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path

from nextframe.benchmark.cells import markdown_table, short_count, shown, shown_speed
from nextframe.benchmark.entries import Budget
from nextframe.benchmark.row import ROW_FORMATS, BenchmarkRow, read_row
from nextframe.benchmark.run import check_same, make_row, prepare
from nextframe.benchmark.tasks import BenchmarkTask
from nextframe.core.errors import BadInputError
from nextframe.core.files.whole_file import write_whole

LOG = logging.getLogger(__name__)
HEADS = {  # columns of a table of digits, by metric
    "mse-openstl": "MSE",
    "mae-openstl": "MAE",
    "mse": "MSE, a pixel",
    "mae": "MAE, a pixel",
    "ssim": "SSIM",
    "ssim-openstl": "SSIM, OpenSTL",
}


def read_rows(path: Path) -> list[BenchmarkRow]:
    """Return the rows of file `path`, none if there is no such file.

    Raises:
        BadInputError: not a file of rows.
    """
    if not path.exists():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["rows"]
        return [BenchmarkRow.parse(ROW_FORMATS.migrate(row, path), where=str(path)) for row in rows]
    except (ValueError, KeyError, TypeError, OSError):
        raise BadInputError(path, "is not a file of rows", "remove it, or give another file") from None


def write_rows(path: Path, rows: Sequence[BenchmarkRow]) -> None:
    """Write `rows` to file `path`, whole or not at all; they are as in the files of single rows."""
    text = json.dumps({"rows": [row.model_dump(mode="json") for row in rows]}, indent=1, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text + "\n")


def fill(
    task: BenchmarkTask,
    path: Path,
    work: Path,
    models: Sequence[str] | None,
    budget: Budget,
    *,
    data: str | None = None,
    device: str = "auto",
    within: float | None = None,
    reserve: float = 60.0,
    show: bool = True,
    command: str | None = None,
) -> list[str]:
    """Make the rows of `models` that file `path` does not have yet, and return the names of those that are left.

    The file is written after each row, so a call that is ended loses the row that it was at. A training that was
    interrupted goes on where `work` still has it.

    Args:
        task: what is predicted and how it is measured.
        path: the file of all rows; those in it are kept.
        work: the folder of runs, images and single rows.
        models: names of models, recipes or recipe files; None: all that fit.
        budget: {"minutes": m} or {"steps": n} for each trained model.
        data: what the task takes with --data.
        device: auto, cpu, cuda or mps.
        within: minutes that this call may take: no row is begun that would not end in them; None: any.
        reserve: seconds that measuring a row may take.
        show: progress on a terminal, log lines elsewhere.
        command: what was typed, for the record; None: this process's command line.

    Raises:
        UserError: an unknown name, a model that does not fit, or a row in the file that has other settings.
    """
    started, left = time.monotonic(), []
    setting, entries = prepare(task, work, data, models, budget, device, show, command)
    rows = {row.entry: row for row in read_rows(path)}
    for entry in entries:
        if entry.name in rows:
            check_same(rows[entry.name], setting, entry, path)
            continue
        needed = 60 * budget.get("minutes", 0.0) * entry.trained + reserve
        if within is not None and time.monotonic() - started + needed > 60 * within:
            left.append(entry.name)
            continue
        rows[entry.name] = read_row(make_row(setting, entry))
        write_rows(path, list(rows.values()))
        LOG.info("%s: written to %s", entry.name, path)
    return left


def digits_table(rows: Sequence[BenchmarkRow]) -> str:
    """Return rows of a task of moving digits as a Markdown table, the lowest MSE first, and how they were made."""
    ranked = sorted(rows, key=lambda row: row.figures[0].mean if row.figures[0].mean is not None else float("inf"))
    heads = ["model", *HEADS.values(), "sequences/s", "parameters", "MACs", "steps", "training"]
    return f"{markdown_table(heads, list(map(_cells, ranked)), rule='---:')}\n\n{made(ranked)}\n"


def _cells(row: BenchmarkRow) -> list[str]:
    figures = [row.figure(metric) for metric in HEADS]
    means = ["" if figure is None else shown(figure.mean) for figure in figures]
    counts = [shown_speed(row.clips_per_s), short_count(row.parameters), short_count(row.macs)]
    return [f"`{row.entry}`", *means, *counts, *_training(row)]


def _training(row: BenchmarkRow) -> list[str]:
    """Return steps, and the seconds of the training by the clock of its budget."""
    facts = row.training
    if facts is None:
        return ["", "none"]
    return [f"{facts.steps:,}", f"{facts.seconds:.0f} s"]


def made(rows: Sequence[BenchmarkRow]) -> str:
    """Return one sentence: where, when and by which commits the rows were made, and how busy the machine was."""
    facts = [row.run for row in rows]
    machines, commits, threads, days = (
        sorted({str(run[name])[:length] for run in facts if name in run})
        for name, length in (("machine", None), ("commit", 9), ("threads", None), ("date", 10))
    )
    loads = [float(run["load"]) for run in facts if "load" in run]
    busy = f"; load {min(loads):g} to {max(loads):g}" if loads else ""
    clips = rows[0].data.clips if rows else 0
    return (
        f"{clips:,} test clips. Made on {' and '.join(days)} by {', '.join(commits)} on {'; '.join(machines)}, "
        f"threads {', '.join(threads)}{busy}."
    )
