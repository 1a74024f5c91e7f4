"""The report of a run: its model on a split, together with the baselines, and its training curve."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from nextframe.checkpoint import load_model
from nextframe.checkpoint.folder import find_model_folder, read_config
from nextframe.core.device import resolve_device
from nextframe.core.kernels.precision import BF16, FLOAT32, native_bf16
from nextframe.data import ClipSet, open_data
from nextframe.data.clipset import Split
from nextframe.evaluation import Evaluation, clip_indices, evaluate, write_report
from nextframe.evaluation.verdict import number
from nextframe.media.writer import write_video
from nextframe.models.contract import Predictor
from nextframe.prediction.shown.panels import comparison_animation
from nextframe.training.folder.checkpoints import stored_kernels
from nextframe.training.folder.logs import read_metrics
from nextframe.training.recipe import TrainingConfig, read_recipe

LOG = logging.getLogger(__name__)
WATCHED = 64  # validation clips that the page of a training is measured on
EXAMPLES = 6  # clips to watch on the page
LOGGED = "val/mse"


def training_curve(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """Return the losses of a run by name, as points (step, value)."""
    lines = read_metrics(folder)
    names = ("train/loss", "val/loss")
    return {name: [(line["step"], line[name]) for line in lines if name in line] for name in names}


def report_run(
    folder: Path,
    split: Split,
    *,
    data: ClipSet | None = None,
    model: Predictor | None = None,
    clips: int | None = None,
    device: str = "auto",
    command: str | None = None,
) -> Evaluation:
    """Evaluate the model of run `folder` on `split` of its own data; write report.html and prediction.gif there.

    `data` and `model` are the run's own if they are open already.
    """
    recipe = read_recipe(folder)
    data, model = data or open_data(recipe.data), model or load_model(folder)
    evaluation = evaluate(
        model,
        data,
        split,
        clips=clips,
        device=device,
        seed=recipe.training.seed,
        examples=EXAMPLES,
        command=command,
    )
    write_report(
        evaluation,
        evaluation.examples,
        folder / "report.html",
        title=f"{evaluation.model} on {recipe.data.name}, {split} split",
        training_curve=training_curve(folder),
        training_note=log_note(folder, evaluation, data, clips, model),
    )
    for example in evaluation.examples[:1]:
        animation = comparison_animation(example.context, example.truth, example.predictions[evaluation.model])
        write_video(folder / "prediction.gif", animation, evaluation.fps / 2)  # slow enough to follow
    return evaluation


def log_note(folder: Path, evaluation: Evaluation, data: ClipSet, clips: int | None, model: Predictor) -> str:
    """Return what the log of run `folder` says of the weights in it, what `evaluation` does, and why these differ.

    "" if the log has no validation of those weights.

    Args:
        folder: the run.
        evaluation: of its model on a split of its own data.
        data: that data.
        clips: how many of the split were measured; None: all.
        model: the model of the run.
    """
    config = read_recipe(folder).training
    step = read_config(find_model_folder(folder))["training"].get("step")
    logged = {line["step"]: line[LOGGED] for line in read_metrics(folder) if LOGGED in line}
    if step not in logged:
        return ""
    row = evaluation.row(evaluation.model, "mse")
    why = _why(config, evaluation, data, clips)
    if _in_bf16(folder, config):
        why.append("the log is computed in bf16, as the training is, and the page in 32 bits")
    if model.draws(model.read_options(None, evaluation.model)):
        why.append("each draws futures of its own")
    both = f"in the log their {LOGGED} is {number(logged[step])}, on this page their mse is {number(row.mean)}"
    return f"The weights are those of step {step:,}, {_kept(config)}: {both}{_because(why)}"


def _because(why: list[str]) -> str:
    return f". The two differ because {'; '.join(why)}." if why else ", of the same clips."


def _kept(config: TrainingConfig) -> str:
    """Return which weights were kept, in words."""
    kept = f"the lowest {config.monitor}" if config.keep == "best" else "the last ones"
    return f"{kept}, averaged over steps (ema {config.ema:g})" if config.ema else kept


def _why(config: TrainingConfig, evaluation: Evaluation, data: ClipSet, clips: int | None) -> list[str]:
    """Return why an evaluation and a validation of the same weights differ: clips, their weights, and rounding."""
    row = evaluation.rows[0]
    first = min(config.val_clips, data.count("val") or config.val_clips)
    why = []
    if row.split != "val":
        why.append(f"the log is of {_clips(first)} of the val split")
    elif not np.array_equal(clip_indices(data, "val", clips), np.arange(first)):
        why.append(
            f"the log is of the first {_clips(first)} of the split, the page of {evaluation.clips:,} evenly chosen"
        )
    if row.n != evaluation.clips:
        why.append("in the log every clip has the same weight, on the page every source")
    return why


def _in_bf16(folder: Path, config: TrainingConfig) -> bool:
    """Whether run `folder` was trained in bf16."""
    if config.precision != "auto":
        return config.precision == "bf16"
    made = set(stored_kernels(folder / "checkpoints").values())
    return BF16 in made if made & {BF16, FLOAT32} else native_bf16(resolve_device(config.device))


def _clips(count: int) -> str:
    return f"{count:,} clip{'' if count == 1 else 's'}"


def report_validation(
    folder: Path, device: str = "auto", *, data: ClipSet | None = None, model: Predictor | None = None
) -> Evaluation | None:
    """Report run `folder` on some clips of the val split, which chose its weights; None if there are none.

    The test split is left for `nextframe evaluate`: to look at it after every training is to tune on it.
    """
    data = data or open_data(read_recipe(folder).data)
    count = data.count("val")
    if count == 0:
        LOG.info("no report: %s", data.why_empty("val"))
        return None
    return report_run(folder, "val", data=data, model=model, clips=min(count or WATCHED, WATCHED), device=device)
