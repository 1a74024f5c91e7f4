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
        sources=known_sources(model),
    )
    save_model(model, folder / "model", task=task, training={"step": step, "seed": recipe.training.seed})


def known_sources(model: Predictor) -> tuple[str, ...]:
    """Return the published videos that the weights which a model, or a model within it, started from were made of."""
    parts = [part.trained for part in model.modules() if isinstance(part, Predictor) and part.trained]
    return tuple(dict.fromkeys(source for trained in parts for source in trained.sources))


def kept_scores(folder: Path) -> dict[str, float]:
    """Return "kept/step", the step of the weights in model/, and "kept/val/..." as validation measured them there.

    The measures are missing if they were not validated at that step.
    """
    step = read_config(find_model_folder(folder))["training"]["step"]
    line = next((line for line in read_metrics(folder) if line["step"] == step), {})
    measured = {f"kept/{name}": value for name, value in line.items() if name.startswith("val/")}
    return {"kept/step": float(step), **measured}
