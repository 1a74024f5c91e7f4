"""Finds a recipe: by its name, a model's name, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nextframe.core.registry import Registry
from nextframe.models import MODELS
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
        return read_recipe(Path(spec))
    names = Registry[Any]("model or recipe")
    for name in dict.fromkeys([*MODELS, *RECIPES]):
        names.add(name, name)
    return names.get(spec)  # type: ignore[no-any-return]  # always raises, with the nearest name
