"""Finds a recipe: by its name, a model's name, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.registry import Registry
from nextframe.models import MODELS
from nextframe.models.wrap import REGISTER, WRAPPED
from nextframe.recipes.registry import RECIPES
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig, read_recipe


def load_recipe(spec: str) -> Recipe:
    """Return the recipe that `spec` names: a registered recipe, a registered model, or a YAML file.

    A model's name stands for its default training on moving digits.

    Raises:
        UserError: an unknown name (with the nearest known one), or a file that is not a recipe.
    """
    if spec in RECIPES:
        return RECIPES.get(spec)
    if spec in MODELS:
        return Recipe(model=ModelSection(name=spec), training=TrainingConfig(steps=2000))
    if Path(spec).suffix in (".yaml", ".yml") or Path(spec).exists():
        return _complete(read_recipe(Path(spec)), Path(spec))
    names = Registry[Any]("model or recipe")
    for name in dict.fromkeys([*MODELS, *RECIPES]):
        names.add(name, name)
    return names.get(spec)  # type: ignore[no-any-return]  # always raises, with the nearest name


def recipe_to_resume(folder: Path, asked: Recipe) -> Recipe:
    """Return the recipe in the run folder `folder`, to continue it; `asked` itself if there is none yet.

    Raises:
        UserError: it is of another model than `asked`.
    """
    if not (folder / "recipe.yaml").exists():
        return asked
    stored = read_recipe(folder)
    theirs, ours = _kind(stored.model), _kind(asked.model)
    if theirs != ours:
        raise UserError(f"{folder} is a run of {theirs}, not {ours}: resume it with {theirs}, or give another folder")
    return stored


def _kind(section: ModelSection) -> str:
    """Return the name of a model; of a wrapped module, that which it was wrapped with."""
    return str(section.fields.get("name", WRAPPED)) if section.name == WRAPPED else section.name


def _complete(recipe: Recipe, path: Path) -> Recipe:
    if recipe.model.name == WRAPPED:
        what = f"is of a wrapped module ({recipe.model.fields.get('module')}), whose code is not in it"
        raise BadInputError(path, what, f"give the module to nextframe.fit; {REGISTER}")
    return recipe
