"""How a row's figures look in a table."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from nextframe.benchmark.row import Figure
from nextframe.evaluation.verdict import number


def shown(value: float | None) -> str:
    """Return a figure with three or four digits, "not finite" for None."""
    return "not finite" if value is None else number(value)


def half_width(figure: Figure) -> str:
    """Return "± 0.12", half the width of the 95 % interval, or "" without one."""
    return half_of(figure.ci95)


def half_of(ci95: Sequence[float | None] | None) -> str:
    """Return half the width of an interval as `half_width` does."""
    if ci95 is None or None in ci95:
        return ""
    low, high = ci95
    return f"± {number((high - low) / 2)}"  # type: ignore[operator]  # None was looked for


def paired_range(interval: tuple[float, float] | None) -> str:
    """Return "(-3.1 to +5.0)" of an interval in per cent, or "" without one."""
    return "" if interval is None else f"({interval[0]:+.1f} to {interval[1]:+.1f})"


def shown_speed(value: float | None) -> str:
    """Return clips per second as they are shown, "" for a row without."""
    return "" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def short_count(value: int) -> str:
    """Return a count in readable form: 136, 14.5 k, 3.2 M, 1.1 G."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return str(value)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]], rule: str = "---") -> str:
    """Return a table in Markdown; `rule` aligns all columns but the first: "---:" to the right."""
    lines = [head, ["---", *[rule] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def without_folders(command: str) -> str:
    """Return a command without the folders of the machine that it ran on: of ../data/gifs and /data/gifs, gifs.

    Paths below the working folder stay as they are.
    """

    def name(found: re.Match[str]) -> str:
        outside = found[0].startswith(("/", "~/", "./", "../"))
        return re.sub(r".*/(?=[^/])", "", found[0]) if outside else found[0]

    return re.sub(r"[^\s,'\"=\[\]]+", name, command)


def short_names(names: Sequence[str], among: Iterable[str] = ()) -> list[str]:
    """Return the last parts of `names`, which are paths: as few as tell each from all others and those of `among`."""
    every = {*names, *among}
    return [_short_name(name, every) for name in names]


def _short_name(name: str, every: Collection[str]) -> str:
    parts = name.split("/")
    for kept in range(1, len(parts)):
        short = "/".join(parts[-kept:])
        if sum(f"/{other}".endswith(f"/{short}") for other in every) == 1:
            return short
    return name


def fold(title: str, *parts: str) -> str:
    """Return Markdown that a reader opens by a click on `title`."""
    return "\n\n".join(['<details markdown="1">', f"<summary>{title}</summary>", *filter(None, parts), "</details>"])
