"""One self-contained HTML page of an evaluation: it loads nothing from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from nextframe.core.files.whole_file import write_whole
from nextframe.evaluation.charts import COLORS, line_chart
from nextframe.evaluation.result import ZERO, Evaluation, Example, Row
from nextframe.evaluation.sprites import make_sprite
from nextframe.evaluation.table import ARROW, shown_steps
from nextframe.evaluation.verdict import compared, findings, number, shown_unit, spread

TEMPLATE = "report.html.j2"
SLOWEST, FASTEST = 3.0, 12.0  # frames per second that the page plays at: slow enough to follow
FACTS = ("command", "commit", "seed", "machine", "date", "seconds")
MAX_STEP_COLUMNS = 20


def write_report(
    evaluation: Evaluation,
    examples: Sequence[Example],
    path: str | os.PathLike[str],
    *,
    title: str,
    training_curve: Mapping[str, Sequence[tuple[float, float]]] | None = None,
) -> Path:
    """Write the page: the finding, clips to watch, curves over the horizon, the table, and how it was made.

    Args:
        evaluation: the rows.
        examples: clips to show, usually `evaluation.examples`.
        path: the .html file.
        title: the page's heading.
        training_curve: lines by name, points (step, loss).
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
        rate=min(FASTEST, max(SLOWEST, evaluation.fps)),
        charts=_charts(evaluation),
        legend=list(enumerate(evaluation.models)),
        colors=COLORS,
        steps=shown_steps(len(evaluation.rows[0].per_step), MAX_STEP_COLUMNS),
        training=_training(training_curve),
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
        "won": best is None or row.beats(best),
        "best_baseline": best.model if best else "",
        "bars": [(other, 100 * abs(other.mean) / longest) for other in ranked],
    }


def _sprites(evaluation: Evaluation, examples: Sequence[Example]) -> list[Any]:
    """Return the frames of the model and of the best baseline: the best except zero, which shows nothing."""
    ranked = [row.model for row in evaluation.ranked(evaluation.metrics[0])]
    others = [name for name in ranked if name not in (evaluation.model, ZERO)]
    others = [name for name in others if examples and name in examples[0].predictions]  # not "(best of k)"
    return [make_sprite(example, [evaluation.model, *others[:1]]) for example in examples]


def _charts(evaluation: Evaluation) -> list[tuple[Row, Any]]:
    """Return a chart for each metric, except sums over pixels, whose curve is that of their mean."""
    charts = []
    for metric in evaluation.distinct_metrics:
        rows = [evaluation.row(model, metric) for model in evaluation.models]
        lines = {row.model: [(t + 1.0, v) for t, v in enumerate(row.per_step)] for row in rows}
        lower = rows[0].better == "lower"
        charts.append((rows[0], line_chart(lines, "predicted frame", metric, from_zero=lower)))
    return charts


def _training(curve: Mapping[str, Sequence[tuple[float, float]]] | None) -> tuple[Any, list[str]] | None:
    if not curve or not any(len(points) > 1 for points in curve.values()):
        return None
    return line_chart(curve, "step", "loss"), list(curve)
