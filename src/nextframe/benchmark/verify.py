"""Check a row that somebody sent: measure the model of its folder again, and compare every figure."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from nextframe.benchmark.row import BenchmarkRow, Figure, read_row
from nextframe.benchmark.run import data_facts, figures, measure, multiply_accumulates, parameters
from nextframe.benchmark.tasks import TASKS, BenchmarkTask
from nextframe.checkpoint import load_model, model_name
from nextframe.core.errors import UserError
from nextframe.data import open_data
from nextframe.models.contract import Predictor

# Another machine adds the same 32-bit numbers in another order: each sum is off by some 1e-7 of its size, and a deep
# network multiplies that a few dozen times. Rounding every convolution to 10 bits, far worse, moved a mean by 1.2e-4 at
# most (catz-autoencoder, gif-next), and `measure` forbids it. Differences between two ranks are far larger.
RELATIVE = 1e-4
ABSOLUTE = 1e-7  # of figures that are zero, or nearly


def verify(path: Path, data: str | None = None, device: str = "auto") -> BenchmarkRow:
    """Return the row of file `path` if measuring its model again gives its figures.

    What is checked: the task's definition, the held-out clips, the model's name, config, parameters and
    multiply-accumulates, and of every metric its definition, mean, interval, steps and number of sources. How long a
    model was trained, and on what, cannot be verified.

    Args:
        path: the row's JSON file, next to its model folder.
        data: the path of the clips here; None: as in the row.
        device: auto, cpu, cuda or mps.

    Raises:
        UserError: the first thing that differs, in one line.
    """
    row = read_row(path)
    task = _task(row, path, data)
    clips = open_data(task.data_at(data or row.data.name) if task.wants else task.data)
    here = data_facts(clips, task.split).model_copy(update={"name": row.data.name})
    for name, value in here.model_dump().items():
        _equal(path, f"data.{name}", getattr(row.data, name), value)
    folder = path.parent / row.model_folder
    model = load_model(folder)
    _check_model(path, row, model)
    _equal(path, "macs", row.macs, multiply_accumulates(model, clips))
    found = figures(measure(task, model, clips, row.entry, device))
    _equal(path, "the list of metrics", [f.metric for f in row.figures], [f.metric for f in found])
    for claimed, real in zip(row.figures, found, strict=True):
        _check_figure(path, claimed, real)
    return row


def _task(row: BenchmarkRow, path: Path, data: str | None) -> BenchmarkTask:
    task = TASKS.get(row.task.name)
    if not isinstance(task, BenchmarkTask):
        raise UserError(f"{path}: task {task.name} has no rows: run nextframe benchmark {task.name} again and compare")
    task = task if task.wants else task.at(data)
    if row.task.hash != task.hash or row.task.definition != task.definition:
        raise UserError(f"{path}: was made for another definition of task {task.name}: make the row again")
    return task


def _check_model(path: Path, row: BenchmarkRow, model: Predictor) -> None:
    facts = {
        "model": (row.model, model_name(model)),
        "config": (_filled(model, row), model.config.model_dump(mode="json")),
        "parameters": (row.parameters, parameters(model)),
        "kind": (row.kind, "trained" if model.stages() else "baseline"),
    }
    for name, (claimed, real) in facts.items():
        _equal(path, name, claimed, real)


def _filled(model: Predictor, row: BenchmarkRow) -> dict[str, Any]:
    """Return a row's config with fields added since at their defaults, as its model was read."""
    return type(model.config).parse(row.config, where="config").model_dump(mode="json")


def _equal(path: Path, name: str, claimed: object, real: object) -> None:
    if claimed != real:
        raise UserError(f"{path}: {name} is {claimed!r}, here it is {real!r}: the row is not accepted")


def _check_figure(path: Path, claimed: Figure, real: Figure) -> None:
    for name in ("definition", "unit", "better", "n"):
        _equal(path, f"{claimed.metric}: {name}", getattr(claimed, name), getattr(real, name))
    _equal(path, f"{claimed.metric}: number of steps", len(claimed.per_step), len(real.per_step))
    _close(path, f"{claimed.metric}: mean", claimed.mean, real.mean, _scale(real))
    for step, (one, other) in enumerate(zip(claimed.per_step, real.per_step, strict=True), start=1):
        _close(path, f"{claimed.metric}: step {step}", one, other, _scale(real))
    _equal(path, f"{claimed.metric}: sources", sorted(claimed.per_source), sorted(real.per_source))
    for source, value in real.per_source.items():
        _close(path, f"{claimed.metric}: {source}", claimed.per_source[source], value, _scale(real))
    _equal(path, f"{claimed.metric}: an interval", claimed.ci95 is not None, real.ci95 is not None)
    for name, one, other in zip(("low", "high"), claimed.ci95 or (), real.ci95 or (), strict=False):
        _close(path, f"{claimed.metric}: {name} end of the interval", one, other, _scale(real))


def _scale(figure: Figure) -> float:
    """Return the size of the mean: the end of an interval can be near zero while its terms are that large."""
    return max(abs(value) for value in (figure.mean or 0.0, *(v or 0.0 for v in figure.ci95 or ())))


def _close(path: Path, name: str, claimed: float | None, real: float | None, scale: float) -> None:
    if claimed is None or real is None:
        _equal(path, name, claimed, real)
        return
    if not math.isfinite(claimed) or abs(claimed - real) > max(RELATIVE * scale, ABSOLUTE):
        raise UserError(
            f"{path}: {name} is {claimed:.8g}, measured again it is {real:.8g} (allowed: {RELATIVE:g} of its size): "
            "the row is not accepted"
        )
