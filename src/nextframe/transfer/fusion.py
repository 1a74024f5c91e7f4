"""Frames and flow in one classifier: late fusion of two, trained on the same labelled videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nextframe.core.errors import UserError
from nextframe.data.clipset import Indices
from nextframe.models.contract import Predictor
from nextframe.transfer.bench import Bench, Classify
from nextframe.transfer.classifier import Probabilities
from nextframe.transfer.encoder import open_encoder
from nextframe.transfer.result import TransferRow
from nextframe.transfer.videos import Videos


def fused_jobs(
    bench: Bench, models: Sequence[tuple[str, Predictor]], other: Bench, flow_model: str
) -> list[Callable[[], TransferRow]]:
    """Return the jobs of the flow model alone, and of each model with it: the mean of both classifiers' probabilities.

    Late fusion, as two-stream networks have it (Simonyan & Zisserman 2014): each stream has a classifier of its own.

    Args:
        bench: the videos' frames.
        models: on frames, as they were named.
        other: the flow of the same videos.
        flow_model: a run folder.

    Raises:
        UserError: the flow of other videos.
    """
    if bench.names() != other.names():
        raise UserError(f"{flow_model}: some videos have frames and no flow, or flow and no frames: they are too short")
    flow = other.classifiers([(flow_model, open_encoder(flow_model, other.clips))])
    flow = [(f"{name} (flow)", method, Remembered(classify)) for name, method, classify in flow]
    jobs = [job for row in flow for job in other.rows(*row)]
    by_method = {method: (name, classify) for name, method, classify in flow}
    for name, method, classify in bench.classifiers(models):
        if method in by_method:
            flow_name, by_flow = by_method[method]
            both = _averaged(classify, by_flow, other.train)
            jobs += bench.rows(f"{name} + {flow_name}", method, both)
    return jobs


class Remembered:
    """A classifier whose results are kept for each draw, for another that averages them."""

    def __init__(self, classify: Classify) -> None:
        self.classify = classify
        self._kept: dict[tuple[int, int], Probabilities] = {}

    def __call__(self, train: Videos, chosen: Indices, draw: int) -> Probabilities:
        """Return the probabilities after training on the `chosen` videos of a draw."""
        key = len(chosen), draw
        if key not in self._kept:
            self._kept[key] = self.classify(train, chosen, draw)
        return self._kept[key]


def _averaged(frames: Classify, flow: Classify, flow_train: Videos) -> Classify:
    """Return a classifier whose probabilities are the mean of two, trained on the same videos."""

    def classify(train: Videos, chosen: Indices, draw: int) -> Probabilities:
        return (frames(train, chosen, draw) + flow(flow_train.chosen(chosen), chosen, draw)) / 2

    return classify
