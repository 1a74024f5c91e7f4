"""The leaderboard tab: the results that come with the package, and those of the user's own benchmarks."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from markupsafe import Markup

BOARDS = Path(__file__).with_name("boards.json")  # written by scripts/app_boards.py
HOW = Markup(
    '<p class="nf-hint">Results of your own: <code>nextframe benchmark TASK -o benchmarks/TASK</code> makes them, '
    "<code>nextframe app --rows benchmarks/TASK</code> shows them here.</p>"
)


def leaderboard(rows: Sequence[Path]) -> str:
    """Return the tab as HTML: the page of the row files `rows`, if there are any, then the tables of the package."""
    ours = json.loads(BOARDS.read_text(encoding="utf-8"))
    first = _own(rows) if rows else ""
    return str(Markup('<div class="nf-boards">{}{}{}</div>').format(first, Markup("").join(map(_table, ours)), HOW))


def _own(rows: Sequence[Path]) -> Markup:
    """Return the rows' leaderboard as a page within the page."""
    from nextframe.benchmark import write_leaderboard

    with tempfile.TemporaryDirectory() as folder:
        page = write_leaderboard(rows, Path(folder) / "leaderboard.html").read_text(encoding="utf-8")
    return Markup(
        f'<iframe class="nf-board" sandbox="allow-scripts" title="leaderboard" srcdoc="{escape(page)}"></iframe>'
    )


def _table(board: Mapping[str, Any]) -> Markup:
    head = Markup("").join(Markup("<th>{}</th>").format(name) for name in board["columns"])
    rows = Markup("").join(Markup("<tr>{}</tr>").format(_cells(row)) for row in board["rows"])
    return Markup(
        '<section class="nf-box"><h3>{}</h3><p>{}</p><div class="nf-wide"><table class="nf-table">'
        '<thead><tr>{}</tr></thead><tbody>{}</tbody></table></div><p class="nf-hint">{}</p></section>'
    ).format(board["title"], board["about"], head, rows, board["from"])


def _cells(row: Sequence[str]) -> Markup:
    head = Markup("<th>{}</th>").format(row[0])
    return head + Markup("").join(Markup("<td>{}</td>").format(cell) for cell in row[1:])
