"""A leaderboard as a Markdown page: a short table for each task, and behind folds what only some readers want."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nextframe.benchmark.cells import (
    fold,
    half_width,
    markdown_table,
    paired_range,
    short_count,
    shown,
    shown_speed,
)
from nextframe.benchmark.leaderboard import Board, Line, boards
from nextframe.benchmark.row import Figure
from nextframe.benchmark.speed.rate import SPEED
from nextframe.evaluation.table import ARROW


def as_markdown(paths: Sequence[Path], exclude: Sequence[str] = ()) -> str:
    """Return the rows at `paths` as a Markdown page: a table for each task, definitions, how each row was made.

    `exclude` is as for `boards`.
    """
    return "# Leaderboard\n\n" + "\n".join(_section(board) for board in boards(paths, exclude))


def _section(board: Board) -> str:
    first, main = board.first, board.metrics[0]
    parts = [
        f"## {first.task.name}",
        f"{board.about} Measured on {board.clips}.",
        board.finding,
        _ranking(board),
        f"Ranked by {main.metric}: its mean over sources ± half the width of the 95 % interval. Gain: per cent better "
        "than the reference, which is bold, and its 95 % interval from the differences source by source.",
        "\n\n".join(f"{note}." for note in board.notes),
        fold("Every metric", _every_metric(board)),
        fold("What is measured", _definitions(board), f"Task {first.task.hash}, clips {first.data.fingerprint}."),
        fold("How each row was made", _facts(board), _commands(board)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _ranking(board: Board) -> str:
    main = board.metrics[0]
    speed = ["clips/s"] if board.timed else []
    head = ["", "model", f"{main.metric} {ARROW[main.better]}", "gain", "parameters", "MACs", *speed, "training"]
    return markdown_table(head, [_cells(line, board) for line in board.lines])


def _cells(line: Line, board: Board) -> list[str]:
    row = line.row
    gain = "" if line.gain is None else f"{line.gain:+.1f} % {paired_range(line.paired)}".strip()
    cells = [row.entry, _value(row.figures[0]), gain, short_count(row.parameters), short_count(row.macs)]
    cells += [shown_speed(row.clips_per_s)] if board.timed else []
    return [str(line.rank), *_bold(line, cells), line.trained]


def _bold(line: Line, cells: list[str]) -> list[str]:
    """Return the cells of a row as they are; those of the reference bold, with what it predicts."""
    if not line.reference:
        return cells
    name, *others = (f"**{cell}**" if cell else "" for cell in cells)
    return [f"{name} ({line.reference})", *others]


def _value(figure: Figure | None) -> str:
    return f"{shown(figure.mean)} {half_width(figure)}".strip() if figure else ""


def _every_metric(board: Board) -> str:
    names = [figure.metric for figure in board.metrics]
    head = ["", "model", *(f"{figure.metric} {ARROW[figure.better]}" for figure in board.metrics)]
    rows = [[line.row.entry, *(_value(line.row.figure(name)) for name in names)] for line in board.lines]
    return markdown_table(
        head, [[str(line.rank), *_bold(line, row)] for line, row in zip(board.lines, rows, strict=True)]
    )


def _definitions(board: Board) -> str:
    lines = [f"- **{f.metric}**: {f.definition} ({f.unit}); {f.better} is better" for f in board.metrics]
    lines += [f"- **MACs**: {board.first.macs_definition}"]
    return "\n".join(lines + ([f"- **clips/s**: {SPEED}"] if board.timed else []))


def _facts(board: Board) -> str:
    heads = list(board.lines[0].facts)
    rows = [[line.row.entry, *(str(line.facts.get(head, "")) for head in heads)] for line in board.lines]
    return markdown_table(["model", *heads], rows)


def _commands(board: Board) -> str:
    """Return each command once, with the rows that it made."""
    made: dict[str, list[str]] = {}
    for line in board.lines:
        if line.command:
            made.setdefault(line.command, []).append(line.row.entry)
    return "\n".join(f"- {', '.join(dict.fromkeys(names))}: `{command}`" for command, names in made.items())
