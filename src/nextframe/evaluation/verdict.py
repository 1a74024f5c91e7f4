"""The results in plain sentences, none of which says more than the number of sources allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nextframe.evaluation.result import Evaluation, Extreme, Row
from nextframe.evaluation.scores import Interval, gains, mean_interval

FEWEST = 5  # sources that a comparison needs: the interval of fewer is more an assumption than a measurement
State = Literal["better", "worse", "ahead", "behind", "same"]
PHRASES: dict[State, str] = {
    "worse": "{model} loses to {names} on {metrics}",
    "behind": "{model} is behind {names} on {metrics}, but {untold}",
    "ahead": "{model} is ahead of {names} on {metrics}, but {untold}",
    "same": "{model} is the same as {names} on {metrics}",
}


@dataclass(frozen=True)
class Difference:
    """By how much a model is better than a baseline on one metric: the mean over sources of the difference on each.

    `mean` and `ci95`, its 95 % interval, are negative where the model is worse. Every source has one value: the mean
    of its clips, or its only clip. An interval is for one comparison, however many there are.
    """

    metric: str
    model: str
    baseline: str
    mean: float
    ci95: Interval | None
    n: int

    @property
    def state(self) -> State:
        """What may be said: better or worse only if the sources suffice and the interval has no zero in it."""
        if self.mean == 0 and self.ci95 in (None, (0.0, 0.0)):
            return "same"
        if self.n < FEWEST or self.ci95 is None or self.ci95[0] <= 0 <= self.ci95[1]:
            return "ahead" if self.mean > 0 else "behind"
        return "better" if self.mean > 0 else "worse"


def difference(row: Row, other: Row) -> Difference:
    """Return by how much `row` is better than `other`, of the same metric and sources, source by source."""
    own = np.array(list(row.per_source.values()))
    its = np.array([other.per_source[source] for source in row.per_source])
    mean, ci95 = mean_interval(gains(own, its, row.better))
    return Difference(row.metric, row.model, other.model, mean, ci95, len(own))


def differences(evaluation: Evaluation) -> list[Difference]:
    """Return the difference to every baseline on every metric."""
    return [
        difference(evaluation.row(evaluation.model, metric), evaluation.row(baseline, metric))
        for metric in evaluation.distinct_metrics
        for baseline in evaluation.baselines
    ]


def headline(evaluation: Evaluation) -> str:
    """Return the plain finding on the main metric: "MSE 0.0231; better than the best baseline (zero) by 0.0181...".

    How it compares is `compared`.
    """
    metric = evaluation.metrics[0]
    row, best = evaluation.row(evaluation.model, metric), evaluation.best_baseline(metric)
    text = f"{metric.upper()} {number(row.mean)}"
    return f"{text}; {compared(row, best)}" if best else text


def compared(row: Row, best: Row) -> str:
    """Return what may be said of `row` beside the best baseline, with the interval and the number of sources.

    Better or worse by how much; that no difference can be told, because zero is in the interval; or that the sources
    are too few to tell.
    """
    found, name = difference(row, best), f"the best baseline ({best.model})"
    size, side = _size(found, row, best), "better" if found.mean > 0 else "worse"
    if found.state == "same":
        return f"the same as {name}, on {counted(found.n, 'source')}"
    if found.n < FEWEST:
        here = f"on these it is {side} than {name} by {size}"
        return f"too few sources to tell ({found.n}, at least {FEWEST} are needed): {here}"
    if found.state in ("better", "worse"):
        return f"{side} than {name} by {size} ({_interval(found, row)}, {counted(found.n, 'source')})"
    told = [f"on average {side} by {size}", _interval(found, row), counted(found.n, "source")]
    return f"no difference to {name} can be told ({', '.join(part for part in told if part)})"


def findings(evaluation: Evaluation) -> list[str]:
    """Return where the model loses, where no difference can be told, and the notes of the evaluation."""
    found = differences(evaluation)
    lines = [line for state in PHRASES for line in _lines(state, [each for each in found if each.state == state])]
    if found and not lines:
        lines.append(f"{evaluation.model} is better than every baseline on every metric")
    return [*lines, *evaluation.notes]


def extremes(evaluation: Evaluation) -> list[tuple[str, Extreme]]:
    """Return the best and the worst clip, each with what it is: "Best clip of 64: better than flow by 0.012 (mse)"."""
    metric = evaluation.metrics[0]
    row, best = evaluation.row(evaluation.model, metric), evaluation.best_baseline(metric)
    if best is None:
        return []
    told = []
    for which, each in zip(("Best", "Worst"), evaluation.extremes, strict=False):
        by = f"{'better' if each.gain > 0 else 'worse'} than {best.model} by {number(abs(each.gain))}{shown_unit(row)}"
        how = f"the same as {best.model}" if each.gain == 0 else by
        told.append((f"{which} clip of {evaluation.clips}: {how} ({metric})", each))
    return told


def counted(n: int, what: str) -> str:
    """Return "1 source", "2 sources": how many of `what`, whose plural has an s."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


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


def _lines(state: State, found: list[Difference]) -> list[str]:
    """Return a sentence for each list of baselines; metrics on which it is the same list share one."""
    names: dict[str, list[str]] = {}
    for each in found:
        names.setdefault(each.metric, []).append(each.baseline)
    metrics: dict[tuple[str, ...], list[str]] = {}
    for metric, those in names.items():
        metrics.setdefault(tuple(those), []).append(metric)
    return [
        PHRASES[state].format(
            model=found[0].model, names=_and(list(those)), metrics=_and(on), untold=_untold(found[0].n)
        )
        for those, on in metrics.items()
    ]


def _untold(n: int) -> str:
    if n >= FEWEST:
        return "no difference can be told"
    return f"{counted(n, 'source')} {'is' if n == 1 else 'are'} too few to tell"


def _size(found: Difference, row: Row, best: Row) -> str:
    """Return how large a difference is: "0.0181 or 44 %"; without a percentage where that means nothing."""
    size = f"{number(abs(found.mean))}{shown_unit(row)}"
    if best.mean <= 0 or row.unit == "dB":
        return size
    percent = 100 * abs(found.mean / best.mean)
    return f"{size} or {percent:.2g} %" if percent < 10 else f"{size} or {percent:.0f} %"


def _interval(found: Difference, row: Row) -> str:
    """Return "95 % interval 0.015 to 0.021"; where it has zero in it, "0.015 worse to 0.021 better"."""
    if found.ci95 is None:
        return ""
    unit = shown_unit(row)
    if found.state in ("better", "worse"):
        low, high = (number(end) for end in sorted(map(abs, found.ci95)))
        return f"95 % interval {low} to {high}{unit}"
    low, high = (number(abs(end)) for end in found.ci95)
    return f"95 % interval {low}{unit} worse to {high}{unit} better"
