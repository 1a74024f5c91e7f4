"""Draw docs/media/which-model.svg: quality against time, from the committed results files; `make docs` runs it.

One panel a task. Across: the time that predicting one clip takes, on a logarithmic axis. Up: the main figure of the
task, with its 95 % interval. Real videos have the times of results/model-costs.json, digits those of their own rows.

Usage: python scripts/site/quality_plot.py [FILE]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from evidence import REAL, RESULTS, ROOT, costs, read

from nextframe.benchmark.collected import read_rows
from nextframe.benchmark.row import BenchmarkRow

FONT = "DejaVu Sans"
mpl.use("svg")
mpl.rcParams |= {"svg.hashsalt": "which-model", "svg.fonttype": "none", "font.family": FONT, "font.size": 9}
DIGITS = ("moving-mnist-fast.json", "moving-mnist-sprites.json")
BASELINE, TRAINED = "#7a7a7a", "#3f51b5"


@dataclass(frozen=True)
class Point:
    """A model in a panel."""

    name: str
    seconds: float  # of a clip
    value: float
    low: float
    high: float
    trained: bool


@dataclass(frozen=True)
class Panel:
    """A task: its points, and what the axes say."""

    title: str
    across: str
    up: str
    points: list[Point]


def real() -> Panel:
    """Return real videos: what each model gains over the last frame in PSNR, source by source."""
    known, points = costs(), []
    for row in (row for row in read(REAL)["rows"] if row["model"] in known):
        cost = known[row["model"]]
        gain = row["compared"].get("copy-last", {"gain": 0.0, "ci95": (0.0, 0.0)})  # it is the last frame
        points.append(Point(row["model"], cost["seconds"], gain["gain"], *gain["ci95"], cost["parameters"] > 0))
    title = f"Real video: {read(REAL)['data']['sources']} sources, five frames"
    return Panel(title, "one core, ten frames of 64x64", "PSNR gained over the last frame, dB", points)


def digits() -> Panel:
    """Return Moving MNIST: the error of each row of its results file."""
    rows = [row for name in DIGITS for row in read_rows(RESULTS / name)]
    points = [point(row) for row in rows if row.clips_per_s]
    title = "Moving MNIST, two digits of 64x64"
    return Panel(title, "a clip, on the machine of the rows", "MSE of a frame, lower is better", points)


def point(row: BenchmarkRow) -> Point:
    """Return a row as a point."""
    figure = row.figures[0]
    low, high = figure.ci95 or (figure.mean, figure.mean)
    ends: list[Any] = [figure.mean, low, high]
    return Point(row.entry, 1 / (row.clips_per_s or 1), *ends, row.kind == "trained")


def panels() -> list[Panel]:
    """Return the panels, from left to right."""
    return [real(), digits()]


def draw(panel: Panel, axes: Any) -> None:
    """Draw a panel."""
    for each in panel.points:
        color = TRAINED if each.trained else BASELINE
        error = [[each.value - each.low], [each.high - each.value]]
        axes.errorbar([each.seconds], [each.value], yerr=error, fmt="o", ms=4, lw=1, capsize=2, color=color)
        axes.annotate(
            each.name, (each.seconds, each.value), (6, 0), textcoords="offset points", va="center", color=color
        )
    times = [each.seconds for each in panel.points]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 3, 300 * max(times))
    axes.margins(y=0.1)
    axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds:g} s" if seconds >= 1 else f"{1000 * seconds:g} ms")
    axes.minorticks_off()
    axes.set(title=panel.title, xlabel=panel.across, ylabel=panel.up)
    axes.grid(alpha=0.25)


def main() -> int:
    """Draw every panel beside the others."""
    from matplotlib.figure import Figure

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "media" / "which-model.svg"
    shown = panels()
    figure = Figure(figsize=(4.4 * len(shown), 3.2), layout="constrained")
    for panel, axes in zip(shown, figure.subplots(1, len(shown), squeeze=False)[0], strict=True):
        draw(panel, axes)
    figure.savefig(target, metadata={"Date": None})
    # a font of its kind where there is not this one
    text = target.read_text(encoding="utf-8").replace(f"'{FONT}'", f"'{FONT}', sans-serif")
    target.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
