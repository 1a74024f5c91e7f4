"""The evaluation of Mathieu, Couprie & LeCun (ICLR 2016) on their own clips: over the areas that their flow marks.

Followed: the authors' test script. Where nothing moves both frames are black; a frame of 50 dB or more does not count.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.seeds.seeding import torch_generator
from nextframe.data.sets.mathieu_test import MOVING_AREAS
from nextframe.evaluation.result import Row
from nextframe.evaluation.runners import Forecaster
from nextframe.evaluation.scores import mean_interval
from nextframe.metrics.mathieu import PSNR_MATHIEU, SHARPNESS_MATHIEU, SSIM_MATHIEU

MEASURED = (PSNR_MATHIEU, SSIM_MATHIEU, SHARPNESS_MATHIEU)
SAME = 50.0  # dB from which a frame counts as one in which nothing moves
WHERE = "of the marked areas"
HOW = "; black outside of the marked areas in both; frames of 50 dB and more do not count"


class MovingAreas:
    """Values of every model in the marked areas of clips that have them; frames that do not count are masked."""

    def __init__(self, runners: Mapping[str, Forecaster]) -> None:
        self.runners = runners
        self._sources: list[str] = []
        self._values: dict[tuple[str, str], list[np.ma.MaskedArray]] = defaultdict(list)  # type: ignore[type-arg]

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
        found = {metric.name: metric.function(future, truth).cpu().double().numpy() for metric in MEASURED}
        for name, values in found.items():
            self._values[runner, name].append(np.ma.masked_array(values, found[PSNR_MATHIEU.name] >= SAME))

    def rows(self, data: str, split: str) -> list[Row]:
        """Return a row for each metric and each model of which some frame counts."""
        rows = []
        for metric in MEASURED:
            for runner in self.runners:
                values = np.ma.concatenate(self._values[runner, metric.name])  # (clips, T)
                counts = ~np.ma.getmaskarray(values).all(axis=1)
                if not counts.any():
                    continue
                means = np.asarray(values[counts].mean(axis=1))
                steps = [float(step) for step in values.mean(axis=0).filled(np.nan)]
                about = (f"{metric.name} {WHERE}", metric.definition + HOW, metric.unit, metric.better)
                names = [source for source, kept in zip(self._sources, counts, strict=True) if kept]
                by_name = dict(zip(names, means.tolist(), strict=True))
                rows.append(Row(runner, data, split, *about, *mean_interval(means), steps, len(means), by_name))
        return rows
