"""What is measured of some models beside their predictions: reconstructions of the context, and components."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.errors import NotSupportedError
from nextframe.evaluation.components import Components, known_objects
from nextframe.evaluation.result import Row
from nextframe.evaluation.scores import Scores, summary_rows
from nextframe.evaluation.verdict import number
from nextframe.metrics import METRICS
from nextframe.models.contract import Predictor
from nextframe.models.protocols import ContextReconstructor, Decomposer

RECONSTRUCTS = "srivastava"  # the compat that adds reconstructions
MEASURED = ("cross-entropy", "mse")
MEAN_FRAME = "mean frame of the context"


class Beside(Protocol):
    """Something that is measured clip by clip."""

    def add(self, clip: Clip, sources: list[str]) -> None:
        """Measure the clips of `clip`, one source for each."""

    def rows(self, data: str, split: str) -> list[Row]:
        """Return what was found, a row for each metric and way."""


def measured_beside(model: Predictor, name: str, compat: str | None, clip: Clip) -> list[Beside]:
    """Return what is measured of `model` on clips like `clip` beside its predictions.

    Reconstructions are measured if `compat` asks for them, components where a model has them and the clips' objects
    are known.
    """
    found: list[Beside] = [Reconstructions(model, name)] if compat == RECONSTRUCTS else []
    if isinstance(model, Decomposer) and known_objects(clip):
        found.append(Components(model, name))
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
        painted: dict[str, Tensor] = {
            self.name: self.model.reconstruct(context),
            f"{self.name} (leak)": self.model.reconstruct(context, leak=True),
            MEAN_FRAME: context.mean(dim=1, keepdim=True).expand_as(context),
        }
        for row, frames in painted.items():
            for metric in MEASURED:
                values = METRICS.get(metric).function(frames.float(), context)
                self.scores[row, metric].add(sources, values.double().cpu().numpy())

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
