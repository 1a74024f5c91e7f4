"""The weights of a run that are kept, in model/, and what validation says of them."""

from __future__ import annotations

from pathlib import Path

from nextframe.checkpoint import save_model
from nextframe.checkpoint.folder import find_model_folder, read_config
from nextframe.data import ClipSet
from nextframe.models.contract import Predictor, TrainedTask
from nextframe.training.folder.logs import read_metrics
from nextframe.training.recipe import Recipe


def save_kept(model: Predictor, recipe: Recipe, clips: ClipSet, folder: Path, step: int) -> None:
    """Write model/ of the run `folder`: `model` as it is after `step` steps of `recipe` on `clips`."""
    task = TrainedTask(
        context=clips.task.context,
        horizon=clips.task.horizon,
        size=clips.frame_shape[1:],
        channels=clips.frame_shape[0],
        gap=recipe.data.gap,
        fps=clips.fps,
        data=recipe.data.name,
        metrics=recipe.training.metrics,
        sources=model.trained.sources if model.trained else (),  # of the weights that it started from
    )
    save_model(model, folder / "model", task=task, training={"step": step, "seed": recipe.training.seed})


def kept_scores(folder: Path) -> dict[str, float]:
    """Return "kept/step", the step of the weights in model/, and "kept/val/..." as validation measured them there.

    The measures are missing if they were not validated at that step.
    """
    step = read_config(find_model_folder(folder))["training"]["step"]
    line = next((line for line in read_metrics(folder) if line["step"] == step), {})
    measured = {f"kept/{name}": value for name, value in line.items() if name.startswith("val/")}
    return {"kept/step": float(step), **measured}
