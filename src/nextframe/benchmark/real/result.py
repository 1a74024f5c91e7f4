"""Measures models on the clips of a task, and writes what was found as JSON and as a Markdown table."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nextframe.benchmark.entries import entry_name
from nextframe.benchmark.real.adapted import Adapted, with_adapted
from nextframe.benchmark.real.chosen import Chosen, with_chosen
from nextframe.benchmark.real.measure import SEED, Predicts, measure_clip, not_measured
from nextframe.benchmark.real.summary import Measured, row
from nextframe.benchmark.real.table import as_markdown
from nextframe.benchmark.real.task import Clips, RealConfig, VideoClip, VideoTask
from nextframe.benchmark.row import named
from nextframe.benchmark.run import exact_products
from nextframe.checkpoint import resolve_model
from nextframe.core.clip import Task
from nextframe.core.device import resolve_device
from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.core.progress import ProgressBar
from nextframe.data.folder.listing import paths_of
from nextframe.evaluation import run_facts
from nextframe.models.contract import Predictor, check_task

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RealResult:
    """What was found, as plain values: `task`, `data`, `rows`, `run`."""

    values: dict[str, Any]

    def write(self, output: Path) -> list[Path]:
        """Write OUTPUT.json and OUTPUT.md, each whole or not at all, and return both."""
        paths = [output.with_name(f"{output.name}{ending}") for ending in (".json", ".md")]
        write_whole(paths[0], json.dumps(self.values, indent=1, allow_nan=False) + "\n")
        write_whole(paths[1], as_markdown(self.values))
        return paths


@dataclass
class Session:
    """What one command measures, and what it has found so far: the facts of each clip, and each model's values."""

    task: VideoTask
    predictors: dict[str, Predicts]
    metrics: list[str]
    device: str
    facts: list[dict[str, Any]] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)

    def add(self, source: str, clip: VideoClip) -> None:
        """Measure every model on `clip`."""
        size = [clip.frames.shape[-1], clip.frames.shape[-2]]
        facts = {"source": source, "file": clip.file, "start": clip.start, "size": size}
        self.facts.append(facts | {"moves": clip.motion, "near_still": clip.near_still})
        weighed = source if self.task.means == "sources" else f"{source}/{clip.start}"
        for name, model in self.predictors.items():
            values = measure_clip(model, clip, self.task.task, self.metrics, self.device)
            self.measured.append(Measured(name, weighed, clip.motion, clip.near_still, values))


def measure_videos(
    task: VideoTask,
    models: Sequence[str | Predictor],
    data: str,
    *,
    rivals: Sequence[str] = (),
    config: RealConfig | None = None,
    device: str = "auto",
    show: bool = True,
    command: str | None = None,
) -> RealResult:
    """Measure models on the clips of `task` at `data`; nothing is trained.

    Args:
        task: which clips, and what of them.
        models: baselines' names, names of models that ship, run or model folders, or models.
        data: a path, or several separated by commas, as the task wants them.
        rivals: models that each other one is compared with; they get rows too. Gains of the table are over the first.
        config: the settings that the task takes.
        device: auto, cpu, cuda or mps.
        show: progress on a terminal, log lines elsewhere.
        command: what was typed, for the record; None: this process's command line.

    Raises:
        UserError: an unknown model, one that does not take such clips, two of one name, a setting that the task does
            not take, or no clips.
    """
    started, config, where = time.monotonic(), config or RealConfig(), resolve_device(device)
    task = configured(task, config)
    models = [*(rival for rival in rivals if rival not in models), *models]
    chosen = with_chosen(_predictors(models, task.task, where), config.options)
    predictors = with_adapted(chosen, config.adapt, task.task.context)
    clips, missing = task.open(data, task.task, config), not_measured(task.metrics)
    for name, why in missing.items():
        LOG.warning("%s is not measured: %s", name, why)
    session = Session(task, predictors, [name for name in task.metrics if name not in missing], where)
    with ProgressBar(task.name, show=show, unit="source") as bar, exact_products():
        for done, (source, read) in enumerate(clips.sources.items(), 1):
            for clip in read():
                session.add(source, clip)
            bar.update(done / len(clips.sources))
            LOG.info("%s: %d of %d sources, %s", task.name, done, len(clips.sources), source)
    if not session.measured:
        raise UserError(f"{data}: no clip can be measured: {'; '.join(map(': '.join, clips.skipped.items()))}")
    return RealResult(
        {
            "task": task.definition | {"about": task.about, "hash": task.hash},
            "rivals": list(rivals),
            "data": _data_facts(task, data, config, clips, session.facts),
            "not_measured": sorted(missing),
            "rows": [
                row(name, session.measured, rivals, not task.overlap) | _model_facts(model, data, session)
                for name, model in predictors.items()
            ],
            "run": run_facts(command, SEED, started),
        }
    )


def configured(task: VideoTask, config: RealConfig) -> VideoTask:
    """Return the task with as many context frames as `config` says; UserError for a setting that it does not take."""
    task.check(config)
    if config.given is None:
        return task
    return replace(task, task=Task.forecast(config.given, task.task.horizon))


def _predictors(models: Sequence[str | Predictor], task: Task, device: str) -> dict[str, Predictor]:
    found: dict[str, Predictor] = {}
    given: dict[str, str | Predictor] = {}
    for spec in models:
        name = row_name(spec)
        if given.setdefault(name, spec) != spec:
            raise UserError(f"two models are both called '{name}'; rename one of them")
        if name not in found:
            found[name] = resolve_model(spec)
            check_task(found[name], task, name)
            found[name] = found[name].to(device).eval()
    return found


def row_name(spec: str | Predictor) -> str:
    """Return what the row of a model is called: its name, or that of its folder; of RUN/model, that of the run."""
    name = entry_name(spec)
    path = Path(spec) if isinstance(spec, str) else Path()
    return path.absolute().parent.name if name == "model" and path.is_dir() else name


def _model_facts(model: Predicts, data: str, session: Session) -> dict[str, Any]:
    """Return the model's number of parameters, and the sources measured that it was trained on material of."""
    if isinstance(model, Adapted):
        return _model_facts(model.model, data, session) | {"adapted": model.facts()}
    if isinstance(model, Chosen):
        return _model_facts(model.model, data, session) | {"options": model.options.model_dump(mode="json")}
    assert isinstance(model, Predictor)
    names = paths_named(data)
    above = f"{names[0]}/" if len(names) == 1 else ""  # a source's name begins below the one path
    sources = dict.fromkeys(str(clip["source"]) for clip in session.facts)
    texts = model.trained.sources if model.trained else ()
    seen = [source for source in sources if named([above + source], texts)]
    return {"parameters": sum(p.numel() for p in model.parameters()), "seen": seen}


def _data_facts(
    task: VideoTask, data: str, config: RealConfig, clips: Clips, found: list[dict[str, Any]]
) -> dict[str, Any]:
    ranked = [clip for clip in found if not clip["near_still"]]
    return {
        "names": paths_named(data),
        "settings": config.model_dump(mode="json", include=set(task.settings)),
        "sources": len({clip["source"] for clip in ranked}),
        "clips": len(ranked),
        "published_clips": task.clips,
        "near_still_clips": len(found) - len(ranked),
        "excluded": sorted(clips.excluded),
        "skipped": clips.skipped,
        "measured": found if task.clips is None else [],  # a published split says which they are
    }


def paths_named(data: str) -> list[str]:
    """Return the bare names of the paths that `data` gives, for a record that says nothing of the machine."""
    return [Path(path).absolute().name for path in paths_of(data)]
