"""Means of what was measured: over the clips of a source, then over sources, and what one model gains over another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from nextframe.benchmark.real.measure import Values, definitions
from nextframe.benchmark.real.motion import MOTIONS
from nextframe.evaluation.result import MOST_SOURCES
from nextframe.evaluation.scores import mean_interval

MAIN = "psnr"  # what gains are of
WORSE = 0.5  # dB: a source on which a model is clearly worse


@dataclass(frozen=True)
class Measured:
    """What one model reached on one clip: each metric of each predicted frame, NaN where it has no value.

    `source` is what has the same weight as any other in a mean, of however many clips.
    """

    model: str
    source: str
    motion: str
    near_still: bool
    values: dict[str, Values]


def row(model: str, measured: Sequence[Measured], rivals: Sequence[str], interval: bool = True) -> dict[str, Any]:
    """Return all figures of one model as plain values.

    Args:
        model: its name.
        measured: of all models.
        rivals: models to compare with, the one that gains are counted from first.
        interval: whether the sources are independent, so that an interval over them says something.
    """
    ranked = [one for one in measured if not one.near_still]
    own = [one for one in ranked if one.model == model]
    still = [one for one in measured if one.near_still and one.model == model]
    classes = {motion: [one for one in own if one.motion == motion] for motion in MOTIONS}
    return {
        "model": model,
        "figures": _figures(own, interval),
        "by_motion": {motion: _short(part) for motion, part in classes.items()}
        if any(one.motion for one in own)
        else {},
        "near_still": _short(still),
        "compared": {rival: _gain(ranked, model, rival) for rival in rivals if rival != model},
        "share_worse": share_worse(ranked, model, rivals),
    }


def by_source(measured: Iterable[Measured], metric: str) -> dict[str, Values]:
    """Return each source's mean over its clips of each step, (T,), by its name in order; NaN where no clip has one."""
    found: dict[str, list[Values]] = {}
    for one in measured:
        found.setdefault(one.source, []).append(one.values[metric])
    return {source: mean_of(np.stack(found[source]), 0) for source in sorted(found)}


def figure(measured: Sequence[Measured], metric: str, interval: bool = True) -> dict[str, Any]:
    """Return the figure of `metric`: means over sources of each step, and of each source's mean over steps.

    `cumulative_mean` at step k is the mean of `per_step` at 1 to k, which some papers print in its place. The 95 %
    interval (Student's t) is over sources. Means of single sources are there for at most `MOST_SOURCES` of them.
    """
    sources = by_source(measured, metric)
    steps = np.stack(list(sources.values()))  # (n, T)
    means = mean_of(steps, 1)
    per_step = mean_of(steps, 0)
    mean, ci95 = _interval(means)
    by_name = dict(zip(sources, means, strict=True)) if len(sources) <= MOST_SOURCES else {}
    return {
        "mean": mean,
        "ci95": ci95 if interval else None,
        "per_step": [number(value) for value in per_step],
        "cumulative_mean": [number(per_step[: step + 1].mean()) for step in range(len(per_step))],
        "n": int((~np.isnan(means)).sum()),
        "per_source": {source: number(value) for source, value in by_name.items()},
    }


def _figures(measured: Sequence[Measured], interval: bool) -> dict[str, Any]:
    about = definitions(tuple(measured[0].values)) if measured else {}
    return {metric: asdict(what) | figure(measured, metric, interval) for metric, what in about.items()}


def _short(measured: Sequence[Measured]) -> dict[str, Any]:
    """Return the mean of every metric of a part of the clips, the main one step by step, and how many clips it is."""
    counts = {"clips": len(measured), "sources": len({one.source for one in measured})}
    if not measured:
        return counts
    found = {metric: figure(measured, metric) for metric in measured[0].values}
    return counts | {
        "means": {metric: one["mean"] for metric, one in found.items()},
        "per_step": {MAIN: found[MAIN]["per_step"]},
    }


def _gain(ranked: Sequence[Measured], model: str, rival: str) -> dict[str, Any]:
    """Return what `model` has more than `rival` in PSNR, source by source, and on which share of the sources."""
    mine, others = (by_source([one for one in ranked if one.model == name], MAIN) for name in (model, rival))
    if not mine or not others:
        return {}
    steps = np.stack([mine[source] - others[source] for source in mine])  # (n, T)
    gains = steps.mean(1)
    mean, ci95 = _interval(gains)
    return {
        "gain": mean,
        "ci95": ci95,
        "per_step": [number(value) for value in steps.mean(0)],
        "share_better": number((gains > 0).mean()),
        "per_source": {source: number(value) for source, value in zip(mine, gains, strict=True)},
    }


def share_worse(ranked: Sequence[Measured], model: str, rivals: Sequence[str]) -> float | None:
    """Return the share of sources on which `model` is over 0.5 dB worse than the best of `rivals`; None: no sources.

    A source's PSNR is its mean over clips and steps.
    """
    if not rivals:
        return None
    means = {name: _psnr(ranked, name) for name in (model, *rivals)}
    if not means[model]:
        return None
    worse = [max(means[rival][source] for rival in rivals) - own > WORSE for source, own in means[model].items()]
    return number(float(np.mean(worse)))


def _psnr(ranked: Sequence[Measured], model: str) -> dict[str, float]:
    sources = by_source((one for one in ranked if one.model == model), MAIN)
    return {source: float(steps.mean()) for source, steps in sources.items()}


def _interval(means: Values) -> tuple[float | None, list[float] | None]:
    """Return the mean over sources that have a value and its 95 % interval; None where there are too few."""
    known = means[~np.isnan(means)]
    if not len(known):
        return None, None
    mean, ci95 = mean_interval(known)
    return mean, None if ci95 is None else list(ci95)


def mean_of(values: Values, axis: int) -> Values:
    """Return the mean along `axis` of what is not NaN; NaN where all is."""
    there = ~np.isnan(values)
    total, count = np.where(there, values, 0.0).sum(axis), there.sum(axis)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def number(value: float | np.floating[Any]) -> float | None:
    """Return `value` as a plain number, None if it is not finite."""
    return float(value) if np.isfinite(value) else None
