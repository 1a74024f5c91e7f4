"""Which models take part in a task, and the recipe by which each is trained: the same budget and seed for all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nextframe.benchmark.tasks import BenchmarkTask
from nextframe.checkpoint import create_model, needs_training
from nextframe.core.errors import NextframeError, UserError
from nextframe.data import ClipSet, DataConfig
from nextframe.models import MODELS, ORIGINALS
from nextframe.models.contract import Predictor, check_task
from nextframe.models.request import check_frames_asked
from nextframe.recipes import RECIPES, load_recipe
from nextframe.training import ModelSection, Recipe, override
from nextframe.training.recipe import check_known, model_fields

Budget = Mapping[str, float]


@dataclass(frozen=True)
class Entry:
    """One row to be: its name, and the recipe to train by. A baseline's recipe only says the model."""

    name: str
    recipe: Recipe

    @property
    def trained(self) -> bool:
        """Whether there is anything to train."""
        return needs_training(self.recipe.model.name)


def budget_of(task: BenchmarkTask, minutes: float | None = None, steps: int | None = None) -> dict[str, float]:
    """Return {"minutes": m} or {"steps": n}: what the user says, else the task's own.

    Raises:
        UserError: both are given.
    """
    if minutes is not None and steps is not None:
        raise UserError("give --minutes or --steps, not both")
    given = {"minutes": minutes, "steps": steps}
    if minutes is None and steps is None:
        given = {"minutes": task.training.minutes, "steps": task.training.steps}
    return {name: value for name, value in given.items() if value is not None}


def make_entry(task: BenchmarkTask, data: DataConfig, name: str, budget: Budget, device: str) -> Entry:
    """Return the entry that `name` (a model, a recipe or a recipe's YAML file) stands for.

    A recipe brings its model, optimiser and batch; the data, seed and budget are the task's.
    """
    own = load_recipe(name)
    training = task.training if name in MODELS and name not in RECIPES else own.training
    recipe = Recipe(model=own.model, data=data, training=training)
    settings = {
        **{f"training.{unit}": value for unit, value in budget.items()},
        "training.seed": task.training.seed,
        "training.device": device,
        "training.checkpoint_every": min(training.checkpoint_every, task.training.checkpoint_every),
    }
    return Entry(entry_name(name), override(recipe, settings))


def entry_name(name: str) -> str:
    """Return what the row of `name` is called: a model or recipe as it is, a recipe file by its stem, a folder by its
    own name, and so a `recipe.yaml` by the folder that it lies in.
    """
    if name in MODELS or name in RECIPES:
        return name
    path = Path(os.path.abspath(name))  # "." and ".." have no name of their own
    if path.is_dir():
        return path.name
    return path.parent.name if path.stem == "recipe" and path.parent.name else path.stem


def check_names(names: Sequence[str]) -> None:
    """Refuse two entries of one name, whose rows would be one file.

    Raises:
        UserError: which two they are.
    """
    taken: dict[str, str] = {}
    for name in names:
        other = taken.setdefault(entry_name(name), name)
        if other != name:
            raise UserError(f"'{other}' and '{name}' are both called '{entry_name(name)}'; rename one of them")


def default_names(task: BenchmarkTask, clips: ClipSet) -> list[str]:
    """Return every registered model that fits the task: baselines, the task's recipes, and models without one.

    The originals take part by their recipes only.
    """
    recipes = [name for name in RECIPES if name.startswith(task.recipes)] if task.recipes else []
    covered = {RECIPES.get(name).model.name for name in recipes}
    models = [name for name in MODELS if name not in covered and name not in ORIGINALS]
    sections = {name: RECIPES.get(name).model for name in recipes} | {n: ModelSection(name=n) for n in models}
    fitting = [name for name, section in sections.items() if misfit(section, clips) is None]
    return sorted(fitting, key=lambda name: needs_training(sections[name].name))  # baselines first


def misfit(section: ModelSection, clips: ClipSet) -> str | None:
    """Return why a model cannot take `clips`, None where it can."""
    try:
        build(section, clips)
    except NextframeError as error:
        return str(error)
    return None


def build(section: ModelSection, clips: ClipSet) -> Predictor:
    """Return the untrained model of `section` made for `clips`.

    Raises:
        UserError: its fields are wrong, or it does not take such clips.
    """
    model = create_model(section.name, **model_fields(section, clips))
    context = torch.zeros(1, clips.task.context, *clips.frame_shape)
    check_task(model, clips.task, section.name)
    check_frames_asked(model.capabilities, context, clips.task.horizon, section.name)
    check_known(model, clips, section.name)
    return model
