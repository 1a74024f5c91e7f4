"""Whether each component of a model shows one object of the clip, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import Clip, as_float
from nextframe.data.sets.digit_renderer import OBJECTS
from nextframe.evaluation.result import MOST_SOURCES, Row
from nextframe.evaluation.scores import Scores
from nextframe.models.protocols import Decomposer

BRIGHT = 0.5  # a pixel above it belongs to what is shown
ALONE = 0.5  # a component whose overlap with its object is above this shows it, and it alone


@dataclass(frozen=True)
class Named:
    """A measure of components, with its definition."""

    name: str
    definition: str


OVERLAP = Named(
    "IoU of components",
    f"pixels above {BRIGHT:g} in a component and in the object that it was matched with, over those in either, mean "
    "over objects; each component has one object of the clip, so that the sum over all frames is largest",
)
SEPARATED = Named(
    "one object a component",
    f"share of clips in which every object's {OVERLAP.name}, averaged over frames, is above {ALONE:g}",
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
        self.scores = {OVERLAP: Scores(), SEPARATED: Scores()}

    @torch.no_grad()
    def add(self, clip: Clip, sources: list[str]) -> None:
        """Compare the components of context and future with the objects of `clip`, one source for each."""
        components = self.model.components(clip.context, clip.horizon).float()
        found = matched(overlaps(components, as_float(clip.extras[OBJECTS])))
        alone = (found.mean(1) > ALONE).all(1, keepdim=True)
        for measure, values in ((OVERLAP, found.mean(2)), (SEPARATED, alone)):
            self.scores[measure].add(sources, values.cpu().numpy().astype(np.float64))

    def rows(self, data: str, split: str) -> list[Row]:
        """Return a row for each of both measures."""
        rows = []
        for measure, scores in self.scores.items():
            found = scores.summary()
            by_name = found.per_source if found.n <= MOST_SOURCES else {}
            about = (measure.name, measure.definition, "1", "higher")
            rows.append(Row(self.name, data, split, *about, found.mean, found.ci95, found.per_step, found.n, by_name))
        return rows
