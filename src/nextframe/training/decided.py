"""What a look at the data decides of a model: once, when a run is made; it stands in the run's recipe from then on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from nextframe.checkpoint import load
from nextframe.core.clip import Clip
from nextframe.core.seeds.noise import clip_noise
from nextframe.data import ClipSet
from nextframe.data.clipset import batch_indices
from nextframe.models import MODELS
from nextframe.models.contract import Predictor
from nextframe.training.recipe import Recipe, read_recipe

LOOK = 8  # training clips that are looked at


def decided(recipe: Recipe, clips: ClipSet, folder: Path, *, resume: bool = False) -> tuple[Recipe, str]:
    """Return `recipe` with the fields that its model leaves to the clips (`from_clips`) and the recipe does not say.

    With it comes a line that says what the clips have decided, "" if they have not been asked.

    Args:
        recipe: of the run.
        clips: a few of train are looked at, if there is anything to decide.
        folder: the run's; one that is resumed keeps what was decided when it was made.
        resume: whether the run in the folder goes on, if there is one.
    """
    kind: type[Predictor] = MODELS.get(recipe.model.name)
    unsaid = {name: decide for name, decide in kind.from_clips.items() if name not in recipe.model.fields}
    if not unsaid:
        return recipe, ""
    stored = folder / "recipe.yaml"
    if resume and stored.exists():  # nothing is in the recipe of an earlier version: such a run stays as it is
        return _with(recipe, {name: read_recipe(stored).model.fields.get(name) for name in unsaid}), ""
    if recipe.training.start_from is not None:  # its weights were trained with its own
        source = load(recipe.training.start_from).config
        return _with(recipe, {name: getattr(source, name, None) for name in unsaid}), ""
    clip = _look(clips)
    found = {name: decide(clip) for name, decide in unsaid.items()}
    return _with(recipe, found), _note(recipe.model.name, found)


def _look(clips: ClipSet) -> Clip:
    """Return a few training clips as a model sees them."""
    with clip_noise("look", index=torch.arange(LOOK)):
        return clips.on_device("train", clips.read("train", batch_indices(clips, "train", 0, 0, LOOK)), "cpu")


def _note(model: str, found: Mapping[str, Any]) -> str:
    fields = ", ".join(f"model.{name}={json.dumps(value)}" for name, value in found.items())
    return f"{model}: {fields}, as {LOOK} training clips suggest (unless it is set)"


def _with(recipe: Recipe, found: Mapping[str, Any]) -> Recipe:
    """Return the recipe with these fields of the model, without those that are None."""
    fields = recipe.model.fields | {name: value for name, value in found.items() if value is not None}
    return recipe.model_copy(update={"model": recipe.model.model_copy(update={"fields": fields})})
