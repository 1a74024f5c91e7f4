"""One self-contained HTML page of an evaluation: it loads nothing from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nextframe.core.files.whole_file import write_whole
from nextframe.evaluation.result import Evaluation, Example, Row
from nextframe.evaluation.sprites import Sprite, make_sprite
from nextframe.evaluation.table import ARROW, shown_steps
from nextframe.evaluation.verdict import compared, difference, extremes, findings, number, shown_unit, spread
from nextframe.prediction.shown.charts import COLORS, line_chart

TEMPLATE = "report.html.j2"
SLOWEST, FASTEST = 3.0, 12.0  # frames per second that the page plays at: slow enough to follow
FACTS = ("command", "commit", "seed", "machine", "date", "seconds")
MAX_STEP_COLUMNS = 20
TONES = {"better": "good", "worse": "bad"}  # of what can be told; the rest is neither


def write_report(
    evaluation: Evaluation,
    examples: Sequence[Example],
    path: str | os.PathLike[str],
    *,
    title: str,
    training_curve: Mapping[str, Sequence[tuple[float, float]]] | None = None,
    training_note: str = "",
) -> Path:
    """Write the page: the finding, clips to watch, the best and the worst first, curves, tables, and how it was made.

    Args:
        evaluation: the rows.
        examples: clips to show, usually `evaluation.examples`.
        path: the .html file.
        title: the page's heading.
        training_curve: lines by name, points (step, loss).
        training_note: a sentence below them.
    """
    environment = Environment(
        loader=PackageLoader("nextframe", "evaluation"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters |= {"number": number, "spread": spread, "unit": shown_unit}
    page = environment.get_template(TEMPLATE).render(
        title=title,
        evaluation=evaluation,
        first=evaluation.rows[0],
        arrow=ARROW,
        findings=findings(evaluation),
        sprites=_sprites(evaluation, examples),
        told=len(evaluation.extremes),
        rate=min(FASTEST, max(SLOWEST, evaluation.fps)),
        charts=_charts(evaluation),
        legend=list(enumerate(evaluation.models)),
        colors=COLORS,
        steps=shown_steps(len(evaluation.rows[0].per_step), MAX_STEP_COLUMNS),
        training=_training(training_curve),
        training_note=training_note,
        facts={name: evaluation.run.get(name) for name in FACTS},
        **_headline(evaluation),
    )
    write_whole(Path(path), page)
    return Path(path)


def _headline(evaluation: Evaluation) -> dict[str, Any]:
    """Return the main number, its comparison with the best baseline, and a bar for each model."""
    metric = evaluation.metrics[0]
    row, best = evaluation.row(evaluation.model, metric), evaluation.best_baseline(metric)
    ranked = evaluation.ranked(metric)
    longest = max((abs(other.mean) for other in ranked), default=0.0) or 1.0
    return {
        "main": row,
        "comparison": compared(row, best) if best else "",
        "tone": TONES.get(difference(row, best).state, "soft") if best else "soft",
        "best_baseline": best.model if best else "",
        "bars": [(other, 100 * abs(other.mean) / longest) for other in ranked],
    }


def _sprites(evaluation: Evaluation, examples: Sequence[Example]) -> list[tuple[str, Sprite]]:
    """Return a title and the frames of each clip: the best, the worst, and `examples`, which have no title.

    Beside the model's are those of the best baseline: the best except zero, which shows nothing.
    """
    told = [(title, each.example) for title, each in extremes(evaluation)]
    known = [clip.index for _, clip in told]
    shown = [*told, *(("", clip) for clip in examples if clip.index is None or clip.index not in known)]
    return [(title, make_sprite(clip, evaluation.shown_models)) for title, clip in shown]


def _charts(evaluation: Evaluation) -> list[tuple[Row, Any]]:
    """Return a chart for each metric, except sums over pixels, whose curve is that of their mean."""
    charts = []
    for metric in evaluation.distinct_metrics:
        plot = evaluation.plot(metric)
        chart = line_chart(plot.lines, plot.x_label, plot.y_label, from_zero=plot.from_zero)
        charts.append((evaluation.row(evaluation.model, metric), chart))
    return charts


def _training(curve: Mapping[str, Sequence[tuple[float, float]]] | None) -> tuple[Any, list[str]] | None:
    if not curve or not any(len(points) > 1 for points in curve.values()):
        return None
    return line_chart(curve, "step", "loss"), list(curve)
