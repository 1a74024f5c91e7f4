"""Train and measure models on a task, row by row: a finished row is kept, a training that was killed continues."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from nextframe.benchmark.entries import Budget, Entry, check_names, default_names, make_entry, misfit, trains
from nextframe.benchmark.on_ray import Order, rows_on_cluster
from nextframe.benchmark.row import BenchmarkRow, DataFacts, Figure, TaskFacts, TrainingFacts, named, read_row
from nextframe.benchmark.share import Share
from nextframe.benchmark.speed.rate import clips_per_second
from nextframe.benchmark.strip import image_strip
from nextframe.benchmark.tasks import BenchmarkTask
from nextframe.checkpoint import load_model, model_name, save_model, take_weights
from nextframe.core.conditions import NO_CONDITIONS
from nextframe.core.errors import UserError
from nextframe.core.kernels import Choices, using
from nextframe.data import ClipSet, open_data
from nextframe.data.clipset import Split, batch_indices
from nextframe.evaluation import Evaluation, clip_indices, evaluate, run_facts
from nextframe.evaluation.run_facts import command_line
from nextframe.media.writer import write_video
from nextframe.models import MODELS
from nextframe.models.contract import Predictor
from nextframe.training import Recipe, Run, read_recipe, train

LOG = logging.getLogger(__name__)
EXAMPLES = 4  # clips in an image strip, the same ones for every model


@dataclass(frozen=True)
class Setting:
    """What all rows of one command share."""

    task: BenchmarkTask
    clips: ClipSet
    output: Path
    budget: Budget
    device: str
    show: bool
    command: str | None


def benchmark(
    task: BenchmarkTask,
    output: Path,
    *,
    data: str | None = None,
    models: Sequence[str | Predictor] | None = None,
    budget: Budget,
    device: str = "auto",
    share: Share | None = None,
    show: bool = True,
    command: str | None = None,
    ray: str | None = None,
    workers: int | None = None,
) -> list[Path]:
    """Make the rows of `models` on `task` in the folder `output`, and return their files.

    Args:
        task: what is predicted and how it is measured.
        output: OUTPUT/NAME.json is the row, OUTPUT/NAME.png its image, OUTPUT/NAME/ the run or model folder.
        data: the path of the clips, if the task has none of its own.
        models: names of models, recipes or recipe files, or untrained models; None: all that fit.
        budget: {"minutes": m} or {"steps": n} for each trained model; 0 minutes: nothing is trained, and models that
            ship or are folders are measured as they are.
        device: auto, cpu, cuda or mps.
        share: the rows of this process; None: all.
        show: progress on a terminal, log lines elsewhere.
        command: what was typed, for the record; None: this process's command line.
        ray: the address of a Ray cluster whose processes make the rows, "auto" or "local"; all its machines have `data`
            and `output` at the same place. None: this process makes them.
        workers: with `ray` its processes; None: as many as there is room for.

    Raises:
        UserError: an unknown name, a model that does not fit, or a row or run of other settings in `output`.
    """
    if ray is not None:
        output = output.absolute()
    setting, entries = prepare(task, output, data, models, budget, device, show, command or command_line())
    if ray is not None:
        order = Order(task, output, data, models, budget, device, setting.command)
        return rows_on_cluster(ray, order, [entry.name for entry in entries], workers)
    share = share or Share()
    return [make_row(setting, entry) for index, entry in enumerate(entries) if share.takes(index)]


def prepare(
    task: BenchmarkTask,
    output: Path,
    data: str | None,
    models: Sequence[str | Predictor] | None,
    budget: Budget,
    device: str,
    show: bool,
    command: str | None,
) -> tuple[Setting, list[Entry]]:
    """Return what the rows of one command share, and an entry for each row; the arguments are those of `benchmark`.

    Raises:
        UserError: an unknown name, or a model that does not fit.
    """
    check_names(models or [])
    config, task = task.data_at(data), task.at(data)
    clips = open_data(config)
    names = list(dict.fromkeys(models)) if models else default_names(task, clips, trains(budget))
    entries = [make_entry(task, config, name, budget, device) for name in names]
    for entry in entries:
        if why := misfit(entry, clips):
            raise UserError(f"{entry.name} does not fit {task.name}: {why}")
    return Setting(task, clips, output, budget, device, show, command), entries


def make_row(setting: Setting, entry: Entry) -> Path:
    """Train (if there is anything to train), measure and write one row, or keep an existing one."""
    path, folder = setting.output / f"{entry.name}.json", setting.output / entry.name
    if path.exists():
        check_same(read_row(path), setting, entry, path)
        LOG.info("%s: already done", entry.name)
        return path
    started = time.monotonic()
    LOG.info("%s on %s", entry.name, setting.task.name)
    training = _train(setting, entry, folder) if entry.trained else None
    if training is None:
        save_model(entry.build(setting.clips), folder)
    model = load_model(folder) if entry.model is None else take_weights(entry.model, folder)
    evaluation = measure(setting.task, model, setting.clips, entry.name, setting.device, setting.command)
    strip = setting.output / f"{entry.name}.png"
    write_video(strip, image_strip(evaluation.examples, entry.name).unsqueeze(0), fps=1.0)
    with exact_products():
        speed = clips_per_second(model, setting.clips, setting.task.split, setting.device)
    row = _row(setting, entry, model, evaluation, training, started)
    row.model_copy(update={"clips_per_s": round(speed, 2)}).write(path)
    return path


def measure(
    task: BenchmarkTask, model: Predictor, clips: ClipSet, name: str, device: str, command: str | None = None
) -> Evaluation:
    """Measure a model on the whole held-out split of `clips`, as the task says, in full 32 bits."""
    with exact_products():
        return evaluate(
            model,
            clips,
            task.split,
            metrics=task.metrics,
            baselines=(),
            device=device,
            seed=task.training.seed,
            examples=EXAMPLES,
            name=name,
            command=command,
        )


@contextmanager
def exact_products() -> Iterator[None]:
    """Keep a GPU's convolutions from rounding to 10 bits (TF32), which moves figures by a part in 10^4."""
    cudnn = torch.backends.cudnn
    before, cudnn.allow_tf32 = cudnn.allow_tf32, False
    try:
        yield
    finally:
        cudnn.allow_tf32 = before


def check_same(row: BenchmarkRow, setting: Setting, entry: Entry, path: Path) -> None:
    """Refuse a row of other settings, which a table would show as if it were this one; UserError says what differs."""
    made = {"task": row.task.hash, "data": row.data, "budget": row.training and row.training.budget}
    made["recipe"] = _settings(Recipe.parse(row.training.recipe, where=str(path))) if row.training else None
    now = {
        "task": setting.task.hash,
        "data": data_facts(setting.clips, setting.task.split).model_copy(update={"name": row.data.name}),
        "budget": dict(setting.budget) if entry.trained else None,
        "recipe": _settings(entry.recipe) if entry.trained else None,
    }
    changed = [name for name, value in now.items() if made[name] != value]
    if changed:
        raise UserError(f"{path}: was made with another {changed[0]}; give another output folder, or remove the row")


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Return what a recipe trains and how, without the path of its data; fields added since are at defaults."""
    fields = recipe.model.fields
    if recipe.model.name in MODELS:  # else a module that was given as it is, which has no fields to fill in
        model: type[Predictor] = MODELS.get(recipe.model.name)
        fields = model.Config.parse(fields).model_dump(mode="json")
    return {
        "model": {"name": recipe.model.name, "fields": fields},
        **recipe.model_dump(mode="json", include={"training"}),
    }


def _train(setting: Setting, entry: Entry, folder: Path) -> TrainingFacts:
    if (folder / "recipe.yaml").exists() and _budget(read_recipe(folder)) != dict(setting.budget):
        raise UserError(f"{folder}: was begun with another budget; give another output folder, or remove it")
    worked = time.process_time()
    run: Run = train(entry.recipe, folder, resume=True, show=setting.show, model=entry.model, clips=setting.clips)
    return TrainingFacts(
        budget=dict(setting.budget),
        steps=run.trainer.step,
        seconds=round(run.trainer.seconds, 1),
        cpu_seconds=round(time.process_time() - worked, 1),
        batch=entry.recipe.training.batch,
        clips_seen=run.trainer.step * entry.recipe.training.clips,
        clips=setting.clips.count("train"),
        recipe=entry.recipe.model_dump(mode="json"),
    )


def _budget(recipe: Recipe) -> dict[str, float]:
    given = {"minutes": recipe.training.minutes, "steps": recipe.training.steps}
    return {unit: value for unit, value in given.items() if value is not None}


def _row(
    setting: Setting, entry: Entry, model: Predictor, found: Evaluation, training: TrainingFacts | None, started: float
) -> BenchmarkRow:
    task = setting.task
    model.cpu()
    return BenchmarkRow(
        entry=entry.name,
        model=model_name(model),
        kind="trained" if entry.trained or model.stages() else "baseline",
        config=model.config.model_dump(mode="json"),
        parameters=parameters(model),
        macs=multiply_accumulates(model, setting.clips),
        task=TaskFacts(name=task.name, hash=task.hash, definition=task.definition),
        data=data_facts(setting.clips, task.split),
        training=training,
        figures=figures(found),
        run=run_facts(setting.command, task.training.seed, started) | _load(),
        model_folder=f"{entry.name}/model" if training else entry.name,
        strip=f"{entry.name}.png",
        seen=named(_sources(setting.clips, task.split), model.trained.sources) if model.trained else [],
    )


def _load() -> dict[str, Any]:
    """Return the threads of this process, and how many processes wanted a core in the last minute, on average."""
    load = {"load": round(os.getloadavg()[0], 1)} if hasattr(os, "getloadavg") else {}
    return {"threads": torch.get_num_threads(), **load}


def figures(evaluation: Evaluation) -> list[Figure]:
    """Return the figures of the evaluated model, those that are not finite as None."""
    names = Figure.model_fields
    rows: list[dict[str, Any]] = evaluation.as_json()["rows"]
    return [Figure.parse({name: row[name] for name in names}) for row in rows]


def data_facts(clips: ClipSet, split: Split) -> DataFacts:
    """Return what the held-out split holds; the fingerprint depends on its sources and not on their paths."""
    sources = _sources(clips, split)
    text = json.dumps(sorted(sources.items()))
    fingerprint = hashlib.sha256(text.encode()).hexdigest()[:16]
    facts = {"name": clips.name, "split": split, "clips": sources.total(), "sources": len(sources)}
    return DataFacts(**facts, fingerprint=fingerprint)


def _sources(clips: ClipSet, split: Split) -> Counter[str]:
    """Return how many clips of the split each source has."""
    return Counter(clips.source(split, int(index)) for index in clip_indices(clips, split, None))


def parameters(model: Predictor) -> int:
    """Return the number of trained parameters of the model."""
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_accumulates(model: Predictor, clips: ClipSet) -> int:
    """Return the multiply-accumulates of predicting one clip's whole horizon (definition: `row.MACS`)."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    context = torch.zeros(1, clips.task.context, *clips.frame_shape)
    conditions = NO_CONDITIONS
    if model.capabilities.conditions:
        conditions = model.wanted(clips.read("train", batch_indices(clips, "train", 0, 0, 1)).conditions)
    # a CPU's own attention is one step, which the counter does not know: here it is the products that it consists of;
    # and no kernels race while it counts
    with using(Choices(races=False)), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        model.predict(context, clips.task.horizon, conditions=conditions)
    return int(counter.get_total_flops()) // 2
