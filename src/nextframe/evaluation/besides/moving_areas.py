"""The evaluation of Mathieu, Couprie & LeCun (ICLR 2016) on their own clips: over the areas that their flow marks.

Followed: the authors' test script. Where nothing moves both frames are black; a frame of 50 dB or more does not count.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.seeds.seeding import torch_generator
from nextframe.data.clipset import MOVING_AREAS
from nextframe.evaluation.result import Row
from nextframe.evaluation.runners import Forecaster
from nextframe.evaluation.scores import mean_interval
from nextframe.metrics.mathieu import PSNR_MATHIEU, SHARPNESS_MATHIEU, SSIM_MATHIEU
from nextframe.metrics.metric import Metric

MEASURED = (PSNR_MATHIEU, SSIM_MATHIEU, SHARPNESS_MATHIEU)
SAME = 50.0  # dB from which a frame counts as one in which nothing moves
WHERE = "of the marked areas"
HOW = "; black outside of the marked areas in both; frames of 50 dB and more do not count"


class MovingAreas:
    """Values of every model in the marked areas of clips that have them."""

    def __init__(self, runners: Mapping[str, Forecaster]) -> None:
        self.runners = runners
        self._sources: list[str] = []
        self._values: dict[tuple[str, str], list[NDArray[np.float64]]] = defaultdict(list)
        self._counts: dict[str, list[NDArray[np.bool_]]] = defaultdict(list)  # whether a frame counts, by model

    @torch.no_grad()
    def add(self, clip: Clip, sources: list[str]) -> None:
        """Let every model predict the clips, and measure it in their marked areas."""
        self._sources += sources
        areas = clip.extras[MOVING_AREAS].to(clip.target.dtype)
        for runner, forecast in self.runners.items():
            future = forecast(clip, torch_generator(0, "moving areas", device=str(clip.target.device)))
            future = (future[0] if future.ndim == 6 else future).to(clip.target.dtype).clamp(0, 1)
            self._measure(runner, future * areas, clip.target * areas)

    def _measure(self, runner: str, future: Tensor, truth: Tensor) -> None:
        for metric in MEASURED:
            self._values[runner, metric.name].append(metric.function(future, truth).cpu().double().numpy())
        self._counts[runner].append(self._values[runner, PSNR_MATHIEU.name][-1] < SAME)

    def rows(self, data: str, split: str) -> list[Row]:
        """Return a row for each metric and each model of which some frame counts."""
        rows = []
        for metric in MEASURED:
            for runner in self.runners:
                values = np.concatenate(self._values[runner, metric.name])  # (clips, T)
                rows += self._row(runner, metric, values, np.concatenate(self._counts[runner]), data, split)
        return rows

    def _row(
        self,
        runner: str,
        metric: Metric,
        values: NDArray[np.float64],
        counts: NDArray[np.bool_],
        data: str,
        split: str,
    ) -> list[Row]:
        """Return the row of the frames that count, (clips, T) both; none if no frame does."""
        clips = counts.any(axis=1)
        if not clips.any():
            return []
        means = values[clips].mean(axis=1, where=counts[clips])
        steps = [float(v[c].mean()) if c.any() else math.nan for v, c in zip(values.T, counts.T, strict=True)]
        by_name = dict(zip(np.array(self._sources)[clips].tolist(), means.tolist(), strict=True))
        about = (f"{metric.name} {WHERE}", metric.definition + HOW, metric.unit, metric.better)
        return [Row(runner, data, split, *about, *mean_interval(means), steps, len(means), by_name)]
