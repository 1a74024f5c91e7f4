"""Which models take part in a task, and the recipe by which each is trained: the same budget and seed for all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch

from nextframe.benchmark.tasks import BenchmarkTask
from nextframe.checkpoint import (
    baseline_names,
    create_model,
    model_name,
    needs_training,
    registered_name,
    resolve_model,
    shipped_models,
)
from nextframe.core.errors import NextframeError, UserError
from nextframe.data import ClipSet, DataConfig
from nextframe.models import CITED, MODELS, ORIGINALS
from nextframe.models.contract import Predictor, check_task
from nextframe.models.request import check_frames_asked
from nextframe.recipes import RECIPES, load_recipe
from nextframe.training import ModelSection, Recipe, override
from nextframe.training.recipe import check_known, model_fields

Budget = Mapping[str, float]


@dataclass(frozen=True)
class Entry:
    """One row to make: its name, and the recipe to train by. A baseline's recipe only names the model.

    `model` is there if the user gave one, instead of a name; it is a copy, as the row trains it.
    """

    name: str
    recipe: Recipe
    model: Predictor | None = None

    @property
    def trained(self) -> bool:
        """Whether there is anything to train; a model that comes trained is measured as it is."""
        if self.model is None:
            return needs_training(self.recipe.model.name)
        return self.model.trained is None and bool(self.model.stages())

    def build(self, clips: ClipSet) -> Predictor:
        """Return the untrained model for `clips`; UserError if it does not take them."""
        if self.model is None:
            return build(self.recipe.model, clips)
        check_fits(self.model, clips, self.name)
        if self.trained:
            self.model.check_data(clips.task, clips.frame_shape)
        return self.model


def budget_of(task: BenchmarkTask, minutes: float | None = None, steps: int | None = None) -> dict[str, float]:
    """Return {"minutes": m} or {"steps": n}: the user's, else the task's own.

    Raises:
        UserError: both are given.
    """
    if minutes is not None and steps is not None:
        raise UserError("give --minutes or --steps, not both")
    given = {"minutes": minutes, "steps": steps}
    if minutes is None and steps is None:
        given = {"minutes": task.training.minutes, "steps": task.training.steps}
    return {name: value for name, value in given.items() if value is not None}


def trains(budget: Budget) -> bool:
    """Return whether there is time to train: 0 minutes are none."""
    return any(budget.values())


def make_entry(task: BenchmarkTask, data: DataConfig, name: str | Predictor, budget: Budget, device: str) -> Entry:
    """Return the entry that `name` (a model, its name, a recipe or a recipe's YAML file) means.

    A recipe brings its model, optimiser and batch; the data, seed, clock and budget are the task's.

    Raises:
        UserError: an unknown name, a model that is already trained, with another budget, or one that is not and
            that there is no time to train.
    """
    if not trains(budget):
        return as_it_is(task, data, name)
    if isinstance(name, Predictor):
        own, training = _untrained(name), task.training
    else:
        recipe = load_recipe(name)
        own = recipe.model
        training = task.training if name in MODELS and name not in RECIPES else recipe.training
    recipe = Recipe(model=own, data=data, training=training)
    settings = {
        **{f"training.{unit}": value for unit, value in budget.items()},
        "training.clock": task.training.clock,
        "training.seed": task.training.seed,
        "training.device": device,
        "training.checkpoint_every": min(training.checkpoint_every, task.training.checkpoint_every),
    }
    given = deepcopy(name) if isinstance(name, Predictor) else None
    return Entry(entry_name(name), override(recipe, settings), given)


def as_it_is(task: BenchmarkTask, data: DataConfig, name: str | Predictor) -> Entry:
    """Return the entry of a model that is not trained here: a baseline, one that ships, a folder or a trained model.

    Raises:
        UserError: a model that has to be trained first, or an unknown name.
    """
    model = resolve_model(name)
    recipe = Recipe(model=section_of(model), data=data, training=task.training)
    return Entry(entry_name(name), recipe, deepcopy(model))


def _untrained(model: Predictor) -> ModelSection:
    if model.trained is not None:
        what = f"{model_name(model)} is already trained, with another budget"
        raise UserError(f"{what}: give the untrained model, or minutes=0 to measure this one as it is")
    return section_of(model)


def section_of(model: Predictor) -> ModelSection:
    """Return what names a model and its config in a recipe."""
    return ModelSection(name=registered_name(model), fields=model.config.model_dump(mode="json"))


def entry_name(name: str | Predictor) -> str:
    """Return what the row of `name` is called: a model or recipe as it is, a recipe file by its stem, a folder by its
    own name, and so a `recipe.yaml` by the folder that it lies in.
    """
    if isinstance(name, Predictor):
        return model_name(name)
    if name in MODELS or name in RECIPES:
        return name
    path = Path(os.path.abspath(name))  # "." and ".." have no name of their own
    if path.is_dir():
        return path.name
    return path.parent.name if path.stem == "recipe" and path.parent.name else path.stem


def check_names(names: Sequence[str | Predictor]) -> None:
    """Refuse two entries of the same name, whose rows would be one file.

    Raises:
        UserError: which two they are.
    """
    taken: dict[str, str | Predictor] = {}
    for name in names:
        other = taken.setdefault(entry_name(name), name)
        if other is not name and other != name:
            both = " and ".join(f"'{one}'" if isinstance(one, str) else "a model" for one in (other, name))
            raise UserError(f"{both} are both called '{entry_name(name)}'; rename one of them")


def default_names(task: BenchmarkTask, clips: ClipSet, training: bool = True) -> list[str]:
    """Return every registered model that fits the task: baselines, the task's recipes, and models without one.

    Cited models and originals take part by their recipes only. Without `training`: baselines and the models that ship.
    """
    if not training:
        names = [*baseline_names(clips.task), *shipped_models()]
        return [name for name in names if misfit(as_it_is(task, task.data, name), clips) is None]
    recipes = [name for name in RECIPES if name.startswith(task.recipes)] if task.recipes else []
    covered = {RECIPES.get(name).model.name for name in recipes}
    models = [name for name in MODELS if name not in covered | CITED.keys() | ORIGINALS.keys()]
    sections = {name: RECIPES.get(name).model for name in recipes} | {n: ModelSection(name=n) for n in models}
    fitting = [name for name, section in sections.items() if misfit(section, clips) is None]
    return sorted(fitting, key=lambda name: needs_training(sections[name].name))  # baselines first


def misfit(wanted: ModelSection | Entry, clips: ClipSet) -> str | None:
    """Return why a model cannot take `clips`, None if it can."""
    try:
        wanted.build(clips) if isinstance(wanted, Entry) else build(wanted, clips)
    except NextframeError as error:
        return str(error)
    return None


def build(section: ModelSection, clips: ClipSet) -> Predictor:
    """Return the untrained model of `section` made for `clips`.

    Raises:
        UserError: its fields are wrong, or it does not take such clips.
    """
    model = create_model(section.name, **model_fields(section, clips))
    check_fits(model, clips, section.name)
    return model


def check_fits(model: Predictor, clips: ClipSet, name: str) -> None:
    """Refuse clips whose task, frames or conditions the model does not take; UserError says which."""
    context = torch.zeros(1, clips.task.context, *clips.frame_shape)
    check_task(model, clips.task, name)
    check_frames_asked(model.capabilities, context, clips.task.horizon, name)
    check_known(model, clips, name)
