"""The results in plain sentences."""

from __future__ import annotations

from nextframe.evaluation.result import Evaluation, Row


def headline(evaluation: Evaluation) -> str:
    """Return the plain finding on the main metric: "MSE 0.0231, 44 % below the best baseline (zero)"."""
    metric = evaluation.metrics[0]
    row, best = evaluation.row(evaluation.model, metric), evaluation.best_baseline(metric)
    text = f"{metric.upper()} {number(row.mean)}"
    return f"{text}, {compared(row, best)}" if best else text


def compared(row: Row, best: Row) -> str:
    """Return how `row` compares with the best baseline: "44 % below the best baseline (zero)"."""
    name = f"the best baseline ({best.model})"
    if row.mean == best.mean:
        return f"the same as {name}"
    side = "below" if row.mean < best.mean else "above"
    worse = "" if row.beats(best) else ", so the baseline is better"
    if best.mean <= 0 or row.unit == "dB":
        return f"{number(abs(row.mean - best.mean))}{shown_unit(row)} {side} {name}{worse}"
    percent = 100 * abs(row.mean / best.mean - 1)
    return f"{percent:.2g} % {side} {name}{worse}" if percent < 10 else f"{percent:.0f} % {side} {name}{worse}"


def findings(evaluation: Evaluation) -> list[str]:
    """Return one sentence for every metric on which baselines beat the model, and the notes of the evaluation."""
    lines = []
    for metric in evaluation.distinct_metrics:
        row = evaluation.row(evaluation.model, metric)
        better = [other.model for other in evaluation.ranked(metric) if other.beats(row)]
        if better:
            lines.append(f"{evaluation.model} loses to {_and(better)} on {metric}")
    if not lines and len(evaluation.models) > 1:
        lines.append(f"{evaluation.model} is better than every baseline on every metric")
    return [*lines, *evaluation.notes]


def number(value: float) -> str:
    """Return `value` with three or four digits, never in powers of ten for ordinary sizes."""
    if value == 0 or not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    return f"{value:.{_decimals(value)}f}"


def shown_unit(row: Row) -> str:
    """Return the unit after a space, or "" for a plain number."""
    return "" if row.unit in ("", "1") else f" {row.unit}"


def spread(row: Row) -> str:
    """Return half the width of the 95 % interval as "± 0.0012", to the mean's decimals, or "" without one."""
    return f"± {(row.ci95[1] - row.ci95[0]) / 2:.{_decimals(row.mean)}f}" if row.ci95 else ""


def _decimals(value: float) -> int:
    return 4 if abs(value) < 0.1 else 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
