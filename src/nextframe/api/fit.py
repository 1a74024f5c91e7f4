"""Training in one line: a model, its data, and how long."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nextframe.api.data import with_data
from nextframe.api.run import FittedRun
from nextframe.checkpoint import model_name, registered_name, take_weights
from nextframe.core.errors import UserError
from nextframe.core.progress import tell
from nextframe.data import ClipSet, DataConfig
from nextframe.data.given import Data
from nextframe.evaluation import clips_for
from nextframe.models.contract import Predictor
from nextframe.models.request import check_frames_asked
from nextframe.recipes import load_recipe, recipe_to_resume
from nextframe.training import ModelSection, Recipe, TrainingConfig, train
from nextframe.training.folder.run_folder import next_folder

LOG = logging.getLogger(__name__)
STEPS = 2000  # for a model object, if no duration is given


def fit(
    model: str | os.PathLike[str] | Predictor,
    data: Data | None = None,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    batch: int | None = None,
    lr: float | None = None,
    context: int | None = None,
    horizon: int | None = None,
    size: tuple[int, int] | None = None,
    seed: int | None = None,
    device: str | None = None,
    devices: int = 1,
    settings: Mapping[str, Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> FittedRun:
    """Train a model on clips and return the run: its model, losses, images and report.

    Args:
        model: the name of a model or recipe, a recipe file, or a model. A model is trained in place, from the weights
            that it has; a torch module becomes one by `nextframe.wrap`.
        data: the name of a data set, a path to videos, hf:user/name of the Hub, clips, a tensor (N, T, C, H, W), an
            array, a torch Dataset or a `datasets.Dataset` of videos; None: the recipe's own, which for a model is
            moving digits.
        steps: how many steps; or give minutes. Neither: as long as the recipe says.
        minutes: how long.
        batch: clips per step.
        lr: the (highest) learning rate.
        context: frames to predict from; None: as the model or the recipe has it.
        horizon: frames to predict.
        size: (height, width) of frames that are read from a path; None: 64 x 64 there, else the data set's own.
        seed: the random seed.
        device: "auto", "cpu", "cuda" or "mps".
        devices: how many to train on, each by a process of its own; then a script calls this under
            `if __name__ == "__main__":`.
        settings: any other field of the recipe, such as {"training.val_every": 50, "model.width": 64}.
        folder: the run folder; None: the next free one of runs/NAME, runs/NAME-2...
        resume: go on with the run in `folder`, exactly.
        quiet: no progress.

    Raises:
        UserError: an unknown name or field, clips that the model does not take, or a folder that is in use.
    """
    short = {
        "data.context": context,
        "data.horizon": horizon,
        "data.size": size,
        "training.steps": steps,
        "training.minutes": minutes,
        "training.batch": batch,
        "training.lr": lr,
        "training.seed": seed,
        "training.device": device,
    }
    wanted = {name: value for name, value in short.items() if value is not None} | dict(settings or {})
    if resume and folder is None:
        raise UserError("resume needs the run's folder: give it, as folder='runs/compact'")
    name, asked = _name(model), _recipe(model)
    place = Path(folder) if folder is not None else next_folder(name)
    recipe, clips = with_data(recipe_to_resume(place, asked) if resume else asked, data, wanted)
    given = model if isinstance(model, Predictor) else None
    if given is not None:
        _check(given, clips)
    if not quiet:
        tell(LOG, _first_line(name, recipe, clips, place))
    run = train(recipe, place, resume=resume, devices=devices, show=not quiet, model=given, clips=clips)
    recipe = recipe.model_copy(update={"model": run.recipe.model})  # with what the clips decided
    return FittedRun(place, take_weights(run.model.cpu(), place), clips, recipe)


def _name(model: str | os.PathLike[str] | Predictor) -> str:
    """Return the name of a run of `model`; UserError for a module that must be wrapped first."""
    if isinstance(model, Predictor):
        return model_name(model)
    if isinstance(model, nn.Module):
        raise UserError(f"{type(model).__name__} is a torch module: give nextframe.wrap(module, context=, horizon=)")
    if not isinstance(model, str | os.PathLike):
        what = getattr(model, "__name__", type(model).__name__)
        raise UserError(f"{what} is not a model: give a name, a recipe, a model, or nextframe.wrap(module)")
    return Path(model).stem


def _recipe(model: str | os.PathLike[str] | Predictor) -> Recipe:
    """Return the recipe that `model` means, with clips cut as the model wants them."""
    if not isinstance(model, Predictor):
        return load_recipe(os.fspath(model))
    section = ModelSection(name=registered_name(model), fields=model.config.model_dump(mode="json"))
    own = clips_for(model) or DataConfig()
    return Recipe(model=section, data=own, training=TrainingConfig(steps=STEPS))


def _check(model: Predictor, clips: ClipSet) -> None:
    """Refuse clips whose frames the model does not take, before anything is written."""
    context = torch.zeros(1, clips.task.context, *clips.frame_shape)
    check_frames_asked(model.capabilities, context, clips.task.horizon, model_name(model))


def _first_line(name: str, recipe: Recipe, clips: ClipSet, place: Path) -> str:
    frames = "x".join(map(str, clips.frame_shape))
    cut = f"{clips.task.context} + {clips.task.horizon} frames of {frames}"
    return f"{name}: {recipe.training.length} on {clips.name} ({cut}), in {place}"
