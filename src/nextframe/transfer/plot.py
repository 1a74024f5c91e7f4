"""The label-scarcity plot: accuracy against labelled videos per class, a line with error bars for each method."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import whole_file
from nextframe.transfer.result import TransferRow

STYLES = {"fine-tuned": "-o", "frozen": "-s", "random": "--^", "probe": ":D", "single-frame": ":x"}
LABELS = {"random": "random weights", "probe": "logistic regression on features", "single-frame": "single frame"}
ENDINGS = (".png", ".svg")


def check_plot(path: Path) -> None:
    """Refuse a file that is not .png or .svg before any work."""
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path}: a plot must be a .png or .svg")


def write_plot(rows: Sequence[TransferRow], classes: int, path: Path) -> None:
    """Draw `rows` into `path` (.png or .svg); chance is 1 / `classes`. The file appears whole or not at all."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    check_plot(path)
    with matplotlib.rc_context({"svg.hashsalt": "nextframe", "font.size": 10}):
        figure, axes = pyplot.subplots(figsize=(7.2, 4.6), layout="constrained")
        lines = list(dict.fromkeys((row.model, row.method) for row in rows))
        models = list(dict.fromkeys(model for model, method in lines if method != "single-frame"))
        for number, (model, method) in enumerate(lines):
            own = [row for row in rows if (row.model, row.method) == (model, method)]
            name = LABELS.get(method, method)
            label = name if method == "single-frame" or len(models) < 2 else _as_it_is(f"{model}: {name}")
            _line(axes, own, number, STYLES.get(method, "-"), label)
        axes.axhline(100 / classes, color="0.6", linewidth=1, linestyle=":", label="chance")
        _dress(axes, rows)
        image = io.BytesIO()
        figure.savefig(image, format=path.suffix[1:].lower(), dpi=140, metadata=_no_date(path))
        pyplot.close(figure)
    with whole_file(path) as temporary:
        temporary.write_bytes(image.getvalue())


def _line(axes: object, rows: Sequence[TransferRow], number: int, style: str, label: str) -> None:
    points = sorted((row.labelled, 100 * row.mean, row.ci95) for row in rows)
    bars = [0.0 if ci95 is None else 50 * (ci95[1] - ci95[0]) for _, _, ci95 in points]
    axes.errorbar(  # type: ignore[attr-defined]
        [at for at, _, _ in points], [mean for _, mean, _ in points], yerr=bars,
        fmt=style, color=f"C{number % 10}", capsize=3, markersize=5, linewidth=1.6, label=label,
    )  # fmt: skip


def _dress(axes: object, rows: Sequence[TransferRow]) -> None:
    """Draw axes, ticks at the measured amounts, and the legend."""
    ticks = dict(sorted({row.labelled: _amount(row) for row in rows}.items()))
    counts, n = sorted({len(row.accuracies) for row in rows}), rows[0].n
    draws = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    axes.set_xscale("log")  # type: ignore[attr-defined]
    axes.set_xticks(list(ticks), list(ticks.values()))  # type: ignore[attr-defined]
    axes.minorticks_off()  # type: ignore[attr-defined]
    axes.set_xlabel("labelled videos per class")  # type: ignore[attr-defined]
    axes.set_ylabel(f"accuracy on {n} {rows[0].split} videos, %")  # type: ignore[attr-defined]
    title = f"{_as_it_is(rows[0].data)}: mean of {draws} draws" + (
        ", bars are 95 % intervals" if counts[-1] > 1 else ""
    )
    axes.set_title(title, fontsize=10, loc="left")  # type: ignore[attr-defined]
    axes.set_ylim(bottom=0)  # type: ignore[attr-defined]
    axes.grid(color="0.92")  # type: ignore[attr-defined]
    axes.legend(frameon=False, fontsize=9)  # type: ignore[attr-defined]


def _as_it_is(name: str) -> str:
    """Return a name in which matplotlib finds no formula."""
    return name.replace("$", r"\$")


def _amount(row: TransferRow) -> str:
    return "all" if row.per_class is None else str(row.per_class)


def _no_date(path: Path) -> dict[str, str | None]:
    return {"Date": None} if path.suffix.lower() == ".svg" else {}
