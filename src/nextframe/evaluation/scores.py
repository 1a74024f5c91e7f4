"""Running sums of a metric: per source and horizon step, in constant memory, however many clips there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nextframe.evaluation.result import Example, Extreme, Row
from nextframe.metrics import Metric
from nextframe.models.contract import Predictor

Interval = tuple[float, float]
DEFAULT_METRICS = ("mse", "mae", "psnr", "ssim", "mse-sum", "mae-sum")


@dataclass(frozen=True)
class Measure:
    """What is measured of a clip by something else than a function of two videos: how its rows describe it."""

    name: str
    definition: str
    unit: str
    better: Literal["lower", "higher"]


def usual_metrics(model: Predictor) -> tuple[str, ...]:
    """Return what `model` is measured by if nobody says: what its training asks for, then `DEFAULT_METRICS`."""
    own = model.trained.metrics if model.trained else ()
    return tuple(dict.fromkeys((*own, *DEFAULT_METRICS)))


@dataclass(frozen=True)
class Summary:
    """A metric over sources: its mean, the 95 % confidence interval (None for one source), and each step's mean."""

    mean: float
    ci95: Interval | None
    per_step: list[float]
    n: int
    per_source: dict[str, float]


@dataclass
class Scores:
    """Sums of one metric of one model. Sources are the independent units: clips of one source are averaged first."""

    sums: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, sources: Sequence[str], values: NDArray[np.float64]) -> None:
        """Add `values` (B, T), one row for a clip of each of `sources`."""
        for source, row in zip(sources, values, strict=True):
            self.sums[source] = self.sums.get(source, 0.0) + row
            self.counts[source] = self.counts.get(source, 0) + 1

    def summary(self) -> Summary:
        """Return mean and interval over sources; every source has the same weight, however many clips it has."""
        per_source = np.stack([total / self.counts[source] for source, total in self.sums.items()])  # (n, T)
        means = per_source.mean(axis=1)
        mean, ci95 = mean_interval(means)
        by_name = dict(zip(self.sums, means.tolist(), strict=True))
        return Summary(mean, ci95, [float(step) for step in per_source.mean(axis=0)], len(per_source), by_name)


def summary_rows(
    scores: Mapping[tuple[str, str], Scores], metrics: Sequence[Metric | Measure], data: str, split: str
) -> list[Row]:
    """Return a row for each of `metrics` and each model, of `scores` by model and name of the metric."""
    rows = []
    for metric in metrics:
        for model in dict.fromkeys(model for model, _ in scores):
            found = scores[model, metric.name].summary()
            about = (metric.name, metric.definition, metric.unit, metric.better)
            numbers = found.mean, found.ci95, found.per_step, found.n
            rows.append(Row(model, data, split, *about, *numbers, per_source=found.per_source))
    return rows


def mean_interval(values: NDArray[np.float64]) -> tuple[float, Interval | None]:
    """Return the mean of `values` (n,) and its two-sided 95 % Student-t interval, None if n is 1."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    mean, n = float(values.mean()), len(values)
    if n < 2 or not math.isfinite(mean):
        return mean, None
    half = float(stdtrit(n - 1, 0.975) * values.std(ddof=1) / math.sqrt(n))
    return mean, (mean - half, mean + half)


def gains(own: NDArray[np.float64], other: NDArray[np.float64], better: str) -> NDArray[np.float64]:
    """Return by how much each of `own` is better than that of `other`; a value that is not a number is the worst."""
    with np.errstate(invalid="ignore"):
        found = other - own if better == "lower" else own - other
    return np.nan_to_num(np.where(own == other, 0.0, found), nan=-np.inf, posinf=np.inf, neginf=-np.inf)


@dataclass
class Ends:
    """The clip with the largest gain and the one with the smallest, of all that were added."""

    best: Extreme | None = None
    worst: Extreme | None = None

    def add(self, found: NDArray[np.float64], example: Callable[[int], Example]) -> None:
        """Look at the clips of a batch; `example` returns one by its place in the batch."""
        high, low = int(found.argmax()), int(found.argmin())
        if self.best is None or found[high] > self.best.gain:
            self.best = Extreme(example(high), float(found[high]))
        if self.worst is None or found[low] < self.worst.gain:
            self.worst = Extreme(example(low), float(found[low]))

    def both(self) -> tuple[Extreme, ...]:
        """Return the best and the worst; nothing if all clips are alike, or there is only one."""
        if self.best is None or self.worst is None or self.best.gain == self.worst.gain:
            return ()
        return (self.best, self.worst)
