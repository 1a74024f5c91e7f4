"""What is measured of some models beside their predictions: reconstructions of the context, and components."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol, cast

import numpy as np
import torch
from torch import Tensor, nn

from nextframe.core.clip import Clip, as_float
from nextframe.core.errors import NotSupportedError
from nextframe.data.clipset import MOVING_AREAS
from nextframe.data.sets.digit_renderer import OBJECTS
from nextframe.evaluation.besides.moving_areas import MovingAreas
from nextframe.evaluation.result import Row
from nextframe.evaluation.runners import Forecaster
from nextframe.evaluation.scores import Measure, Scores, summary_rows
from nextframe.evaluation.verdict import number
from nextframe.metrics import METRICS
from nextframe.models.contract import Predictor, predicting
from nextframe.models.protocols import ContextReconstructor, Decomposer

RECONSTRUCTS = "srivastava"  # the compat that adds reconstructions
MASKS = "mathieu"  # the compat that adds moving areas
MEASURED = ("cross-entropy", "mse")
BRIGHT = 0.5  # a pixel above it belongs to what is shown
ALONE = 0.5  # a component whose overlap with its object is above this shows it, and it alone
MEAN_FRAME = "mean frame of the context"


class Beside(Protocol):
    """Something that is measured clip by clip."""

    def add(self, clip: Clip, sources: list[str]) -> None:
        """Measure the clips of `clip`, one source for each."""

    def rows(self, data: str, split: str) -> list[Row]:
        """Return what was found, a row for each metric and way."""


def measured_beside(
    model: Predictor, name: str, compat: str | None, clip: Clip, runners: Mapping[str, Forecaster]
) -> list[Beside]:
    """Return what is measured of `model` on clips like `clip` beside its predictions.

    Reconstructions are measured if `compat` asks for them, components where a model has them and the clips' objects
    are known, moving areas of all `runners` if `compat` is mathieu and the clips have them.
    """
    found: list[Beside] = [Reconstructions(model, name)] if compat == RECONSTRUCTS else []
    if isinstance(model, Decomposer) and known_objects(clip):
        found.append(Components(model, name))
    if compat == MASKS and MOVING_AREAS in clip.extras:
        found.append(MovingAreas(runners))
    return found


class Reconstructions:
    """Sums over clips of what compat srivastava adds to an evaluation.

    Srivastava, Mansimov & Salakhutdinov 2015 tested the reconstruction by giving its decoder the true frames that it
    should predict: the row "(leak)". Without that the decoder is fed its own frames. Steps are the context's, in order.
    """

    def __init__(self, model: Predictor, name: str) -> None:
        if not isinstance(model, ContextReconstructor) or not model.reconstructs:
            raise NotSupportedError(f"compat srivastava measures reconstructions, which {name} does not make")
        self.model, self.name = model, name
        self.scores: dict[tuple[str, str], Scores] = defaultdict(Scores)

    def add(self, clip: Clip, sources: list[str]) -> None:
        """Measure the contexts of `clip`, one source for each, both ways and against their mean frame."""
        context = clip.context
        with predicting(self.model):
            painted: dict[str, Tensor] = {
                self.name: self.model.reconstruct(context),
                f"{self.name} (leak)": self.model.reconstruct(context, leak=True),
                MEAN_FRAME: context.mean(dim=1, keepdim=True).expand_as(context),
            }
        for row, frames in painted.items():
            for metric in MEASURED:
                values = METRICS.get(metric).function(frames.float(), context)
                self.scores[row, metric].add(sources, values.cpu().double().numpy())

    def rows(self, data: str, split: str) -> list[Row]:
        """Return a row for each metric, called "NAME of the reconstruction", and each way to make it."""
        rows = summary_rows(self.scores, [METRICS.get(name) for name in MEASURED], data, split)
        return [replace(row, metric=f"{row.metric} of the reconstruction") for row in rows]


def lines(rows: Sequence[Row]) -> list[str]:
    """Return a line for each metric of `rows`, with every model's value."""
    metrics = dict.fromkeys(row.metric for row in rows)
    return [
        f"{metric}: {', '.join(f'{row.model} {number(row.mean)}' for row in rows if row.metric == metric)}"
        for metric in metrics
    ]


OVERLAP = Measure(
    "IoU of components",
    f"pixels above {BRIGHT:g} in a component and in the object that it was matched with, over those in either, mean "
    "over objects; each component has one object of the clip, so that the sum over all frames is largest",
    "1",
    "higher",
)
SEPARATED = Measure(
    "one object a component",
    f"share of clips in which every object's {OVERLAP.name}, averaged over frames, is above {ALONE:g}",
    "1",
    "higher",
)


def known_objects(clip: Clip) -> bool:
    """Whether the clips come with each object's own frames."""
    return OBJECTS in clip.extras


def overlaps(components: Tensor, objects: Tensor) -> Tensor:
    """Return the overlap of every component with every object, pixels in both over pixels in either.

    Args:
        components: (B, T, K, C, H, W) in [0, 1].
        objects: (B, T, D, C, H, W) in [0, 1].

    Returns:
        (B, T, K, D) in [0, 1]; 1 where both are black.
    """
    shown = (components > BRIGHT).flatten(3).float()
    true = (objects > BRIGHT).flatten(3).float()
    both = shown @ true.transpose(2, 3)
    either = shown.sum(3).unsqueeze(3) + true.sum(3).unsqueeze(2) - both
    return torch.where(either > 0, both / either.clamp_min(1), 1.0)


def matched(found: Tensor) -> Tensor:
    """Return the overlap of each object with its component, (B, T, D), of all overlaps `found` (B, T, K, D).

    Each component has at most one object in all frames of a clip. An object without a component has an overlap of 0.
    """
    from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

    result = torch.zeros_like(found[:, :, 0])
    for index, pairs in enumerate(found.sum(1).cpu().numpy()):
        components, objects = linear_sum_assignment(pairs, maximize=True)
        result[index][:, objects] = found[index][:, components, objects]
    return result


class Components:
    """Sums over clips of how well components match objects. Steps are those of the context, then of the future."""

    def __init__(self, model: Decomposer, name: str) -> None:
        self.model, self.name = model, name
        self.scores: dict[tuple[str, str], Scores] = defaultdict(Scores)

    def add(self, clip: Clip, sources: list[str]) -> None:
        """Compare the components of context and future with the objects of `clip`, one source for each."""
        with predicting(cast(nn.Module, self.model)):
            components = self.model.components(clip.context, clip.horizon).float()
        found = matched(overlaps(components, as_float(clip.extras[OBJECTS])))
        alone = (found.mean(1) > ALONE).all(1, keepdim=True)
        for measure, values in ((OVERLAP, found.mean(2)), (SEPARATED, alone)):
            self.scores[self.name, measure.name].add(sources, values.cpu().numpy().astype(np.float64))

    def rows(self, data: str, split: str) -> list[Row]:
        """Return a row for each of both measures."""
        return summary_rows(self.scores, [OVERLAP, SEPARATED], data, split)
