"""Measures a model on a split, closed loop, at every horizon step, together with every baseline.

This is the only place that reads a test split.
"""

from __future__ import annotations

import logging
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nextframe.checkpoint import model_name, resolve_model
from nextframe.core.clip import Clip, Task, as_uint8
from nextframe.core.device import resolve_device
from nextframe.core.errors import UserError
from nextframe.core.progress import ProgressBar, unheard
from nextframe.core.seeds.seeding import torch_generator
from nextframe.data import ClipSet, DataConfig
from nextframe.data.clipset import SPLITS, Indices, Split, count_some
from nextframe.data.given import Data, as_clips
from nextframe.evaluation.besides.beside import RECONSTRUCTS, Beside, lines, measured_beside
from nextframe.evaluation.result import Evaluation, Example, Extreme, Row
from nextframe.evaluation.run_facts import run_facts
from nextframe.evaluation.runners import Forecaster, forecaster, make_runners
from nextframe.evaluation.scores import Ends, Scores, gains, summary_rows, usual_metrics
from nextframe.evaluation.several import differences, score_samples
from nextframe.metrics import COMPATS, METRICS, Metric, find_metric
from nextframe.models.contract import ModelOptions, Predictor, task_note
from nextframe.prediction.shown.panels import SHOWABLE

LOG = logging.getLogger(__name__)
ENDLESS_CLIPS = 512  # of an endless generated split, if the user does not say how many
T = TypeVar("T")


def evaluate(
    model: str | os.PathLike[str] | Predictor,
    data: Data,
    split: Split = "test",
    *,
    metrics: Sequence[str] | None = None,
    baselines: Literal["all"] | Sequence[str] = "all",
    clips: int | None = None,
    batch: int = 16,
    device: str = "auto",
    seed: int = 0,
    compat: str | None = None,
    examples: int = 1,
    name: str | None = None,
    command: str | None = None,
    samples: int = 1,
    options: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure a model on a split: it predicts the whole horizon from the context alone, as in real use.

    Values are averaged over the clips of a source, then over sources; predictions are not kept, except for `examples`.

    Args:
        model: a run or its folder, a model folder, a baseline's name, user/name on the Hub, or a model.
        data: clips, a data set's name, a path, a `DataConfig` or frames in memory (see `as_clips`); a name, a path
            and frames are cut as the model was trained: context, horizon, size.
        split: "train", "val" or "test".
        metrics: names from METRICS (NAME-moving: over the pixels that moved), main one first; None: `usual_metrics`.
        baselines: "all" (every model that needs no training, and the all-zero prediction), or names.
        clips: measure this many, evenly chosen; None: all.
        batch: how many at a time; no result depends on it for a model without randomness.
        device: "auto", "cpu", "cuda" or "mps".
        seed: of a model with randomness.
        compat: "openstl" or "mathieu" adds that code's definitions of the metrics, under separate names;
            "srivastava" the reconstruction of the context, with that code's leak and without.
        examples: clips to keep for images (not of percepts), beside the best and the worst against the best baseline.
        name: the model's name in the rows; None: its registered name.
        command: what was typed, for the record; None: this process's command line.
        samples: futures per clip, for a model with randomness; with several, rows have the mean, best and mean frame.
        options: the model's own at prediction, such as {"temperature": 0.5}.

    Raises:
        UserError: an unknown name or option, an empty split, or clips that the model does not take.
    """
    started = time.monotonic()
    net, where = resolve_model(model), resolve_device(device)
    clip_set, name = as_clips(data, clips_for(net)), name or model_name(net)
    indices = clip_indices(clip_set, split, clips)
    first_clip = clip_set.on_device(split, clip_set.read(split, indices[:1]), "cpu")
    chosen = _metrics(usual_metrics(net) if metrics is None else metrics, compat, first_clip.context)
    chosen_options = net.read_options(options, name)
    samples = _futures(net, samples, chosen_options, name)
    runners, notes = make_runners(net, name, baselines, clip_set, first_clip, where)
    runners[name] = forecaster(net, where, chosen_options, samples)
    beside = measured_beside(net, name, compat, first_clip, runners)
    kept = _evenly(len(indices), min(examples, len(indices))).tolist() if clip_set.frame_shape[0] <= SHOWABLE else []
    contest = Contest(runners, chosen, clip_set.task.horizon, where, seed, beside, watched=bool(kept))
    firsts = range(0, len(indices), batch)
    for first in _watched(firsts, f"evaluate {name}", len(firsts)):
        part = indices[first : first + batch]
        contest.add(clip_set, split, part, [place - first for place in kept if first <= place < first + len(part)])
    found = [row for other in beside for row in other.rows(clip_set.name, split)]
    measured = Evaluation(
        model=name,
        rows=contest.rows(clip_set.name, split),
        run=run_facts(command, seed, started),
        clips=len(indices),
        context=clip_set.task.context,
        fps=clip_set.fps,
        notes=[*_training_notes(net, name, clip_set.task), *notes, *contest.spread_note(), *lines(found)],
        examples=contest.examples,
        beside=found,
    )
    return replace(measured, extremes=contest.extremes(measured.best_baseline(chosen[0].name)))


def clips_for(model: Predictor) -> DataConfig | None:
    """Return how clips are cut for a model by default: as it was trained, else as in its config; or None."""
    task = model.trained
    if task is None:
        context, horizon = getattr(model.config, "context", None), getattr(model.config, "horizon", None)
        return DataConfig(context=context, horizon=horizon) if context and horizon else None
    color: Literal["grey", "rgb"] | None = {1: "grey", 3: "rgb"}.get(task.channels or 0)  # type: ignore[assignment]
    return DataConfig(context=task.context, horizon=task.horizon, size=task.size, gap=task.gap, color=color)


@dataclass
class Contest:
    """All models that are measured together, and their sums so far."""

    runners: dict[str, Forecaster]
    metrics: list[Metric]
    horizon: int
    device: str
    seed: int
    beside: Sequence[Beside] = ()
    watched: bool = False  # whether clips are kept for images

    def __post_init__(self) -> None:
        self.scores: dict[tuple[str, str], Scores] = defaultdict(Scores)  # by row and metric
        self.spread = Scores()  # of several futures
        self.examples: list[Example] = []
        self.ends: dict[str, Ends] = defaultdict(Ends)  # against each other runner, on the main metric

    def add(self, data: ClipSet, split: Split, indices: Indices, kept: list[int]) -> None:
        """Let every runner predict clips `indices`, add the values, and keep those at `kept` as examples."""
        clip = data.on_device(split, data.read(split, indices), self.device)
        sources = [data.source(split, int(index)) for index in indices]
        for other in self.beside:
            other.add(clip, sources)
        shown: dict[str, Tensor] = {}
        main: dict[str, NDArray[np.float64]] = {}
        for runner, forecast in self.runners.items():
            generator = torch_generator(self.seed, "evaluate", int(indices[0]), device=self.device)
            futures = forecast(clip, generator).float()
            futures = futures if futures.ndim == 6 else futures.unsqueeze(0)  # (S, B, T, C, H, W)
            main[runner] = self._score(runner, futures, clip, sources)
            if self.watched:
                shown[runner] = as_uint8(futures[0]).cpu()
        if self.watched:
            example = partial(_example, clip, sources, indices, shown)
            self.examples += [example(place) for place in kept]
            self._compare(main, example)

    def _compare(self, main: Mapping[str, NDArray[np.float64]], example: Callable[[int], Example]) -> None:
        """Keep the best and the worst clip so far against each baseline: which one is the best shows at the end."""
        own, *others = main
        for other in others:
            self.ends[other].add(gains(main[own], main[other], self.metrics[0].better), example)

    def _score(self, runner: str, futures: Tensor, clip: Clip, sources: list[str]) -> NDArray[np.float64]:
        """Add the values of every metric; return those of the main one, a mean for each clip."""
        clipped = futures.clamp(0, 1)
        found: dict[tuple[str, str], NDArray[np.float64]] = {}
        for metric in self.metrics:
            measure, measured = find_metric(metric.name, clip.context).function, clipped
            if metric.unclipped:
                measured = futures
            for row, values in score_samples(runner, measured, clip.target, measure, metric.better).items():
                found[row, metric.name] = values.cpu().double().numpy()
                self.scores[row, metric.name].add(sources, found[row, metric.name])
        if len(futures) > 1:
            self.spread.add(sources, differences(clipped).cpu().double().numpy())
        main: NDArray[np.float64] = found[runner, self.metrics[0].name].mean(axis=1)
        return main

    def extremes(self, baseline: Row | None) -> tuple[Extreme, ...]:
        """Return the best and the worst clip against `baseline`, if clips are kept."""
        return self.ends[baseline.model].both() if baseline else ()

    def spread_note(self) -> list[str]:
        """Return a line that says how far several futures are apart, if there were several."""
        if not self.spread.sums:
            return []
        found = self.spread.summary()
        last = found.per_step[-1]
        return [f"two futures of one clip differ by {found.mean:.3g} (mean squared), {last:.3g} at the last step"]

    def rows(self, data: str, split: str) -> list[Row]:
        """Return a row for each metric and runner, and, for several futures, one for each way to score them."""
        return summary_rows(self.scores, self.metrics, data, split)


def _example(clip: Clip, sources: list[str], indices: Indices, shown: Mapping[str, Tensor], place: int) -> Example:
    """Return the clip at `place` of a batch, with what each runner predicted for it."""
    context, truth = as_uint8(clip.context[place]).cpu(), as_uint8(clip.target[place]).cpu()
    predictions = {runner: future[place].clone() for runner, future in shown.items()}  # not the whole batch
    return Example(sources[place], context, truth, predictions, int(indices[place]))


def clip_indices(data: ClipSet, split: Split, limit: int | None) -> Indices:
    """Return which clips of `split` are measured: all, or `limit` of them, evenly chosen.

    Raises:
        UserError: an unknown or empty split.
    """
    if split not in SPLITS:
        raise UserError(f"unknown split '{split}' (one of: {', '.join(SPLITS)})")
    if limit is not None and limit < 1:
        raise UserError(f"clips must be at least 1, not {limit}")
    count = count_some(data, split)
    if count is None:
        return np.arange(limit or ENDLESS_CLIPS, dtype=np.int64)
    return _evenly(count, min(limit or count, count))


def _evenly(count: int, chosen: int) -> Indices:
    """Return `chosen` of range(count), evenly spaced from the first on."""
    return np.arange(chosen, dtype=np.int64) * count // max(chosen, 1)


def _futures(net: Predictor, samples: int, options: ModelOptions, name: str) -> int:
    """Return how many futures to draw: `samples`, but one for a model without randomness."""
    if samples > 1 and not net.draws(options):
        LOG.warning("%s has no randomness: one future is measured instead of %d", name, samples)
        return 1
    return samples


def _metrics(names: Sequence[str], compat: str | None, context: Tensor) -> list[Metric]:
    known = (*COMPATS, RECONSTRUCTS)
    if compat not in (None, *known):
        raise UserError(f"unknown compat '{compat}' (one of: {', '.join(known)})")
    if compat in COMPATS:
        own = [name for name in METRICS if name.endswith(f"-{compat}")]
        names = [
            *names,
            *own,
            *(f"{name}-moving" for name in own if compat == "mathieu"),
        ]  # masks what is still
    if not names:
        raise UserError("name at least one metric")
    return [find_metric(name, context) for name in dict.fromkeys(names)]


def _training_notes(net: Predictor, name: str, task: Task) -> list[str]:
    notes = [task_note(net, task, name)]
    if net.trained is not None and task.horizon > net.trained.horizon:
        notes.append(f"{name} was trained to predict {net.trained.horizon} frames; later steps go beyond its training")
    return [note for note in notes if note]


def _watched(items: Iterable[T], title: str, total: int) -> Iterator[T]:
    """Yield `items` with a progress bar on a terminal, and a line every tenth part, or now and then, elsewhere."""
    show = unheard() or LOG.isEnabledFor(logging.INFO)
    with ProgressBar(title, show=show, unit="batch", transient=True) as bar:
        for number, item in enumerate(items):
            if not bar.fancy and number and number * 10 // total > (number - 1) * 10 // total:
                LOG.info("%s: %d%%", title, 100 * number // total)
            yield item
            bar.update((number + 1) / total)
