"""The report of a run: its model on a split, together with the baselines, and its training curve."""

from __future__ import annotations

import logging
from pathlib import Path

from nextframe.data import ClipSet, open_data
from nextframe.data.clipset import Split
from nextframe.evaluation import Evaluation, evaluate, write_report
from nextframe.media.writer import write_video
from nextframe.models.contract import Predictor
from nextframe.prediction.panels import comparison_animation
from nextframe.training.folder.logs import read_metrics
from nextframe.training.recipe import read_recipe

LOG = logging.getLogger(__name__)
WATCHED = 64  # validation clips that the page of a training is measured on
EXAMPLES = 6  # clips to watch on the page


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
    evaluation = evaluate(
        model or folder,
        data or recipe.data,
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
    )
    for example in evaluation.examples[:1]:
        animation = comparison_animation(example.context, example.truth, example.predictions[evaluation.model])
        write_video(folder / "prediction.gif", animation, evaluation.fps / 2)  # slow enough to follow
    return evaluation


def report_validation(
    folder: Path, device: str = "auto", *, data: ClipSet | None = None, model: Predictor | None = None
) -> Evaluation | None:
    """Report run `folder` on some clips of the val split, which chose its weights; None if there are none.

    The test split is left for `nextframe evaluate`: to look at it after every training is to tune on it.
    """
    data = data or open_data(read_recipe(folder).data)
    count = data.count("val")
    if count == 0:
        LOG.info("no report: the val split has no clips")
        return None
    return report_run(folder, "val", data=data, model=model, clips=min(count or WATCHED, WATCHED), device=device)
