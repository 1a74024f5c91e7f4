"""The videos of a transfer experiment, its methods as functions of labelled videos, and its jobs."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from nextframe.core.device import resolve_device
from nextframe.core.errors import NotSupportedError
from nextframe.core.kernels.precision import bf16_pays
from nextframe.data import ClipSet
from nextframe.data.clipset import Indices, Split
from nextframe.models.contract import Predictor
from nextframe.transfer.classifier import Fitting, Probabilities, fit, predict
from nextframe.transfer.encoder import WindowEncoder, like
from nextframe.transfer.probes import mean_features, probe, single_frame
from nextframe.transfer.result import TransferRow
from nextframe.transfer.settings import EXACT, PRETRAINED, Method, TransferConfig
from nextframe.transfer.videos import Kept, Make, Videos, draw_videos, labelled_videos, window_reader

Classify = Callable[[Videos, Indices, int], Probabilities]


class Bench:
    """The videos, what was computed from them, and the jobs of an experiment."""

    def __init__(self, clips: ClipSet, config: TransferConfig) -> None:
        self.clips, self.config, self.device = clips, config, resolve_device(config.device)
        self.train, self.test = labelled_videos(clips, "train"), labelled_videos(clips, config.split)
        self.classes = max(len(clips.classes), int(max(self.train.labels.max(), self.test.labels.max())) + 1)
        self.read = {split: window_reader(clips, split, self.device) for split in ("train", config.split)}
        precision = config.classifier.precision
        self.bf16 = precision == "bf16" or (precision == "auto" and bf16_pays(self.device))

    def names(self) -> list[tuple[str, int]]:
        """Return the name and the class of every labelled video, those of train first."""
        splits: tuple[tuple[Split, Videos], ...] = (("train", self.train), (self.config.split, self.test))
        return [
            (self.clips.source(split, int(windows[0])), int(label))
            for split, videos in splits
            for windows, label in zip(videos.windows, videos.labels, strict=True)
        ]

    def jobs(self, models: Sequence[tuple[str, Predictor]]) -> list[Callable[[], TransferRow]]:
        """Return the jobs, each a row: every method of every model, with every amount of labels."""
        found = self.classifiers(models)
        if not found:
            raise NotSupportedError("nothing to do: fine-tuned and frozen need a trained model, a run folder")
        return [job for name, method, classify in found for job in self.rows(name, method, classify)]

    def classifiers(self, models: Sequence[tuple[str, Predictor]]) -> list[tuple[str, Method, Classify]]:
        """Return a name, a method and what classifies by it, for every method of every model."""
        found: list[tuple[str, Method, Classify]] = []
        for spec, model in models:
            trained = model.trained is not None
            methods = [m for m in self.config.methods if trained or m not in PRETRAINED]
            for method in methods:
                if method != "single-frame":
                    found.append((short_name(spec), method, self._method(method, model.to(self.device))))
        if "single-frame" in self.config.methods:
            found.append(("one frame", "single-frame", self._single_frame))
        return found

    def rows(self, name: str, method: Method, classify: Classify) -> list[Callable[[], TransferRow]]:
        """Return the jobs of one classifier, one for each amount of labels."""
        counts = self.amounts()
        return [lambda count=count: self._row(name, method, count, classify) for count in counts]  # type: ignore[misc]

    def amounts(self) -> list[int | None]:
        """Return the amounts of labels, without those that equal all videos of every class, except `None` itself."""
        most = int(np.bincount(self.train.labels).max())
        fewer = [count for count in self.config.per_class if count is not None and count < most]
        return [*sorted(set(fewer)), *([None] if None in self.config.per_class or not fewer else [])]

    def _row(self, name: str, method: Method, count: int | None, classify: Classify) -> TransferRow:
        accuracies: list[float] = []
        started = time.monotonic()
        for draw in range(self.config.draws):
            chosen = draw_videos(self.train.labels, count, self.config.seed, draw)
            if draw and count is None and method in EXACT:
                accuracies.append(accuracies[0])  # all videos in every draw, and a method without randomness
                continue
            found = classify(self.train.chosen(chosen), chosen, draw)
            accuracies.append(float((found.argmax(1) == self.test.labels).mean()))
        videos = len(draw_videos(self.train.labels, count, 0, 0))
        return TransferRow(
            name, method, self.clips.name, self.config.split, count, videos, accuracies, len(self.test),
            round(time.monotonic() - started, 1),
        )  # fmt: skip

    def _fitting(self, read: Make, *key: int | str) -> Fitting:
        return Fitting(read, self.config.classifier, self.classes, (self.config.seed, *key), self.bf16)

    def _method(self, method: Method, model: Predictor) -> Classify:
        """Return a function that classifies the test videos after training on some labelled train videos."""
        if method == "probe":
            return self._probe(model)
        if method == "frozen":
            return self._frozen(model)

        _check_gradient(model, self.read["train"](np.zeros(1, dtype=np.int64)), method)

        def classify(train: Videos, chosen: Indices, draw: int) -> Probabilities:
            fresh = like(model, self.config.seed, draw) if method == "random" else copy.deepcopy(model)
            fitting = self._fitting(self.read["train"], draw, len(chosen))
            classifier = fit(WindowEncoder(fresh.to(self.device).requires_grad_(True)), train, fitting)
            return predict(classifier, self.test, self._fitting(self.read[self.config.split]))

        return classify

    def _kept(self, make: nn.Module | Callable[..., torch.Tensor], split: str) -> Make:
        """Return a function that gives the outputs of a fixed encoder for windows of `split`, each computed once."""

        @torch.no_grad()
        def outputs(indices: Indices) -> torch.Tensor:
            return make(self.read[split](indices)).float()

        return Kept(_in_parts(outputs), self.clips.count(split) or 0)  # type: ignore[arg-type]

    def _frozen(self, model: Predictor) -> Classify:
        encoder = WindowEncoder(model.eval())
        kept = {split: self._kept(encoder, split) for split in ("train", self.config.split)}

        def classify(train: Videos, chosen: Indices, draw: int) -> Probabilities:
            classifier = fit(nn.Identity(), train, self._fitting(kept["train"], draw, len(chosen)))
            return predict(classifier, self.test, self._fitting(kept[self.config.split]))

        return classify

    def _probe(self, model: Predictor) -> Classify:
        features = WindowEncoder(model.eval()).features
        kept: dict[str, NDArray[np.float32]] = {}

        def classify(train: Videos, chosen: Indices, draw: int) -> Probabilities:
            for split, videos in (("train", self.train), (self.config.split, self.test)):
                if split not in kept:
                    kept[split] = mean_features(self._kept(features, split), videos)
            return probe(kept["train"][chosen], train.labels, kept[self.config.split], self.classes)

        return classify

    def _single_frame(self, train: Videos, chosen: Indices, draw: int) -> Probabilities:
        return single_frame(train, self.read["train"], self.test, self.read[self.config.split], self.classes)


def _check_gradient(model: Predictor, window: torch.Tensor, method: Method) -> None:
    """Refuse to train all weights of a model whose features have no gradient."""
    with torch.enable_grad():
        if not WindowEncoder(model.requires_grad_(True))(window).requires_grad:
            kind = type(model).__name__
            raise NotSupportedError(f"features of {kind} have no gradient: remove {method} from --methods")


def short_name(spec: str) -> str:
    """Return the name of a model in the table: a folder's name without its path; of RUN/model the run's."""
    path = Path(spec)
    if not path.exists():
        return spec
    return path.resolve().parent.name if path.name == "model" else path.name


def _in_parts(make: Make, size: int = 64) -> Make:
    """Return `make`, called for at most `size` windows at a time, to bound memory."""
    return lambda indices: torch.cat([make(indices[first : first + size]) for first in range(0, len(indices), size)])
