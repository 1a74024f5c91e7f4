"""Label scarcity: how well encoders classify videos if 1, 2, 4, ... videos of each class have a label."""

from __future__ import annotations

import time
from collections.abc import Sequence

from nextframe.core.errors import UserError
from nextframe.core.progress import ProgressBar
from nextframe.data import ClipSet, DataConfig, open_data
from nextframe.evaluation.run_facts import run_facts
from nextframe.transfer.bench import Bench, short_name
from nextframe.transfer.encoder import open_encoder, trained_data, training_facts
from nextframe.transfer.fusion import fused_jobs
from nextframe.transfer.result import TransferResult
from nextframe.transfer.settings import TransferConfig


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
    bench = Bench(clips, config)
    jobs = bench.jobs(opened)
    if config.flow_model is not None:
        flow = data.model_copy(update={"color": None, **trained_data([config.flow_model])})
        jobs += fused_jobs(bench, opened, Bench(open_windows(flow, config), config), config.flow_model)
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
        "models": {spec: training_facts(spec) for spec in (*models, *filter(None, [config.flow_model]))},
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


LABELLED = ("motion-digits", "motion-clips", "labelled", "kth", "ucf101", "hmdb51", "sports1m", "percepts")


def _check_names(models: Sequence[str]) -> None:
    """Refuse models that would have the same name in the table."""
    by_name: dict[str, str] = {}
    for spec in models:
        other = by_name.setdefault(short_name(spec), spec)
        if other != spec:
            raise UserError(
                f"{other} and {spec} would both be called '{short_name(spec)}' in the table: rename a folder"
            )
