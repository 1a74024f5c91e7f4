"""An evaluation on a terminal: all metrics side by side, and the main one step by step."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from nextframe.core.terminal import plain_console, visible
from nextframe.evaluation.result import Evaluation, Row
from nextframe.evaluation.verdict import counted, findings, headline, number, spread

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

ARROW = {"lower": "↓", "higher": "↑"}
STEP_WIDTH, NAME_WIDTH = 9, 14  # letters of a column


def show_evaluation(evaluation: Evaluation, console: Console | None = None) -> None:
    """Write the finding, both tables and the notes to `console` (standard output by default)."""
    from rich.text import Text

    console = console or plain_console()
    fitting = max(2, (console.width - NAME_WIDTH) // STEP_WIDTH)
    console.print(Text.assemble("\n", (visible(evaluation.model), "bold"), f": {visible(headline(evaluation))}\n"))
    for metrics in _fitting(evaluation.metrics, console.width):
        console.print(summary_table(evaluation, metrics))
    console.print(step_table(evaluation, evaluation.metrics[0], fitting))
    for line in findings(evaluation):
        console.print(f"- {line}")


def as_text(evaluation: Evaluation) -> str:
    """Return what `show_evaluation` writes, as plain text of 100 columns."""
    written = io.StringIO()
    show_evaluation(evaluation, plain_console(file=written, width=100, force_jupyter=False))
    return written.getvalue().strip("\n")


def summary_table(evaluation: Evaluation, metrics: Sequence[str]) -> Table:
    """Return a row for each model and a column for each of `metrics`; the best is marked with a star.

    Next to the first metric is half the width of its 95 % interval.
    """
    from rich.text import Text

    first = evaluation.rows[0]
    measured = f"{counted(evaluation.clips, 'clip')} from {counted(first.n, 'source')}"
    table = _table(f"{first.data}, {first.split} split: {measured}")
    for number_of, metric in enumerate(metrics):
        row = evaluation.row(evaluation.model, metric)
        table.add_column(f"{metric} {ARROW[row.better]} ", justify="right", no_wrap=True)
        if number_of == 0:
            table.add_column("95 %", justify="left", no_wrap=True, style="dim")
    for model in evaluation.models:
        cells = [_cell(evaluation, evaluation.row(model, metric)) for metric in metrics]
        cells.insert(1, Text(spread(evaluation.row(model, metrics[0]))))
        table.add_row(model, *cells, style="bold" if model == evaluation.model else "")
    return table


def step_table(evaluation: Evaluation, metric: str, most: int = 10) -> Table:
    """Return `metric` at `most` horizon steps or fewer, a row for each model; the best of each step is marked."""
    rows = [evaluation.row(model, metric) for model in evaluation.models]
    steps = shown_steps(len(rows[0].per_step), most)
    table = _table(f"{metric} {ARROW[rows[0].better]} at each predicted frame")
    for step in steps:
        table.add_column(f"+{step + 1} ", justify="right", no_wrap=True)
    best = min if rows[0].better == "lower" else max
    leaders = {step: best(row.per_step[step] for row in rows) for step in steps}
    for row in rows:
        cells = [_marked(number(row.per_step[step]), row.per_step[step] == leaders[step]) for step in steps]
        table.add_row(row.model, *cells, style="bold" if row.model == evaluation.model else "")
    return table


def _fitting(metrics: Sequence[str], width: int) -> list[list[str]]:
    """Split `metrics` into groups whose columns fit into `width` letters."""
    groups: list[list[str]] = [[]]
    used = 0
    for metric in metrics:
        column = max(len(metric) + 3, STEP_WIDTH)
        if groups[-1] and used + column > width:
            groups.append([])
        if not groups[-1]:
            used = NAME_WIDTH + STEP_WIDTH
        groups[-1].append(metric)
        used += column
    return groups


def shown_steps(horizon: int, most: int) -> list[int]:
    """Return at most `most` of the steps 0..horizon-1, evenly chosen, the first and the last among them."""
    return sorted(set(np.linspace(0, horizon - 1, min(most, horizon)).round().astype(int).tolist()))


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0)
    )
    table.add_column("model", no_wrap=True)
    return table


def _cell(evaluation: Evaluation, row: Row) -> Text:
    return _marked(number(row.mean), row.mean == evaluation.ranked(row.metric)[0].mean)


def _marked(text: str, best: bool) -> Text:
    from rich.text import Text

    return Text(f"{text}*", "green") if best else Text(f"{text} ")
