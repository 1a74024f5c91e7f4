"""Label scarcity: how well encoders classify videos if 1, 2, 4, ... videos of each class have a label."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator
from torch import nn

from nextframe.core.config import Config
from nextframe.core.device import resolve_device
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.core.kernels.precision import bf16_pays
from nextframe.core.progress import ProgressBar
from nextframe.data import ClipSet, DataConfig, open_data
from nextframe.data.clipset import Indices
from nextframe.evaluation.run_facts import run_facts
from nextframe.models.contract import Predictor
from nextframe.transfer.classifier import ClassifierConfig, Fitting, Probabilities, fit, predict
from nextframe.transfer.encoder import WindowEncoder, like, open_encoder, training_facts
from nextframe.transfer.probes import mean_features, probe, single_frame
from nextframe.transfer.result import TransferResult, TransferRow
from nextframe.transfer.videos import Kept, Make, Videos, draw_videos, labelled_videos, window_reader

Method = Literal["fine-tuned", "frozen", "random", "probe", "single-frame"]
METHODS: tuple[Method, ...] = ("fine-tuned", "frozen", "random", "probe", "single-frame")
EXACT: tuple[Method, ...] = ("probe", "single-frame")  # methods for which the same videos give the same classifier
PRETRAINED: tuple[Method, ...] = ("fine-tuned", "frozen")  # methods that need trained weights


class TransferConfig(Config):
    """Which amounts of labels, how many draws, which methods; `split` val is for choosing settings."""

    per_class: tuple[int | None, ...] = Field(
        (1, 2, 4, 10, 20, 50, None), description="labelled videos per class; null: all"
    )
    draws: int = Field(10, ge=1, description="random choices of the labelled videos")
    methods: tuple[Method, ...] = Field(METHODS, description="the rows of the table")
    split: Literal["val", "test"] = Field("test", description="val to choose settings")
    window: int = Field(16, ge=2, description="frames that a class is recognised from")
    stride: int = Field(8, ge=1, description="frames from one window to the next")
    seed: int = Field(0, description="the random seed")
    device: str = Field("auto", description="auto, cpu, cuda or mps")
    classifier: ClassifierConfig = ClassifierConfig()

    @field_validator("per_class")
    @classmethod
    def _some(cls, counts: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if not counts or any(count is not None and count < 1 for count in counts):
            raise ValueError("per_class must be integers of at least 1, or all")
        return counts


def transfer(
    models: Sequence[str], data: DataConfig, config: TransferConfig | None = None, *, show: bool = True
) -> TransferResult:
    """Train classifiers on the features of `models`, with few and many labelled videos, and measure them.

    Args:
        models: run or model folders, or registered names (random weights); all go into one table.
        data: which labelled videos; window, stride and colour are set from `config` and the models.
        config: the experiment.
        show: progress on a terminal, log lines elsewhere.

    Raises:
        UserError: data without classes, a model without features, or one that does not take these frames.
    """
    config, started = config or TransferConfig(), time.monotonic()
    clips = open_windows(data, config)
    _check_names(models)
    opened = [(spec, open_encoder(spec, clips)) for spec in models]
    bench = _Bench(clips, config)
    jobs = bench.jobs(opened)
    rows = []
    with ProgressBar("transfer", show=show, unit="job") as bar:
        for number, job in enumerate(jobs):
            rows.append(job())
            bar.say(number + 1, (number + 1) / len(jobs), str(rows[-1]))
    settings = {
        "transfer": config.model_dump(mode="json"),
        "data": data.model_dump(mode="json"),
        "classes": list(clips.classes),
        "labelled": {split: len(videos) for split, videos in (("train", bench.train), (config.split, bench.test))},
        "models": {spec: training_facts(spec) for spec in models},
    }
    return TransferResult(rows, settings, run_facts(None, config.seed, started))


def open_windows(data: DataConfig, config: TransferConfig) -> ClipSet:
    """Return the windows of the labelled videos that `data` names; a path means the data set `labelled`."""
    from nextframe.data import DATASETS
    from nextframe.data.open import is_path

    options = {"clip_step": config.stride * data.stride, "eval_step": config.stride * data.stride, **data.options}
    changed = {"context": config.window - 1, "horizon": 1, "gap": None}
    if data.name not in DATASETS and is_path(data.name):
        changed["name"], options["root"] = "labelled", data.name  # type: ignore[assignment]
    values = data.model_copy(update={**changed, "options": options})
    if values.name in DATASETS and values.name not in LABELLED:
        raise UserError(f"data set '{values.name}' has no classes (those with classes: {', '.join(LABELLED)}, a path)")
    return open_data(values)


LABELLED = ("motion-digits", "motion-clips", "labelled", "kth", "ucf101", "hmdb51", "percepts")


class _Bench:
    """The videos, what was computed from them, and the jobs of an experiment."""

    def __init__(self, clips: ClipSet, config: TransferConfig) -> None:
        self.clips, self.config, self.device = clips, config, resolve_device(config.device)
        self.train, self.test = labelled_videos(clips, "train"), labelled_videos(clips, config.split)
        self.classes = max(len(clips.classes), int(max(self.train.labels.max(), self.test.labels.max())) + 1)
        self.read = {split: window_reader(clips, split, self.device) for split in ("train", config.split)}
        precision = config.classifier.precision
        self.bf16 = precision == "bf16" or (precision == "auto" and bf16_pays(self.device))

    def jobs(self, models: Sequence[tuple[str, Predictor]]) -> list[Callable[[], TransferRow]]:
        """Return the jobs, each a row: every method of every model, with every amount of labels."""
        jobs: list[Callable[[], TransferRow]] = []
        for spec, model in models:
            trained = model.trained is not None
            methods = [m for m in self.config.methods if trained or m not in PRETRAINED]
            for method in methods:
                if method != "single-frame":
                    jobs += self._rows(_short(spec), method, self._method(method, model.to(self.device)))
        if "single-frame" in self.config.methods:
            jobs += self._rows("one frame", "single-frame", self._single_frame)
        if not jobs:
            raise NotSupportedError("nothing to do: fine-tuned and frozen need a trained model, a run folder")
        return jobs

    def _rows(self, name: str, method: Method, classify: Classify) -> list[Callable[[], TransferRow]]:
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


def _short(spec: str) -> str:
    """Return the name of a model in the table: a folder's name without its path; of RUN/model the run's."""
    path = Path(spec)
    if not path.exists():
        return spec
    return path.resolve().parent.name if path.name == "model" else path.name


def _check_names(models: Sequence[str]) -> None:
    """Refuse models that would have the same name in the table."""
    by_name: dict[str, str] = {}
    for spec in models:
        other = by_name.setdefault(_short(spec), spec)
        if other != spec:
            raise UserError(f"{other} and {spec} would both be called '{_short(spec)}' in the table: rename a folder")


Classify = Callable[[Videos, Indices, int], Probabilities]


def _in_parts(make: Make, size: int = 64) -> Make:
    """Return `make`, called for at most `size` windows at a time, to bound memory."""
    return lambda indices: torch.cat([make(indices[first : first + size]) for first in range(0, len(indices), size)])
