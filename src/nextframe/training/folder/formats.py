"""The formats of recipe.yaml and of a training checkpoint."""

from __future__ import annotations

from typing import Any

from nextframe.checkpoint.renames import renamed_section
from nextframe.core.files.formats import Formats


def _with_named_counters(state: dict[str, Any]) -> dict[str, Any]:
    """Format 1 had the counters as a list."""
    names = ("step", "stage_step", "stage_index", "seconds", "stage_seconds", "scale")
    if not isinstance(state["counters"], list):
        raise TypeError("a checkpoint of format 1 has a list of counters")
    return {**state, "counters": dict(zip(names, state["counters"], strict=True))}


def _with_originals(recipe: dict[str, Any]) -> dict[str, Any]:
    """In format 2 the forms of papers and notebooks are models of their own, not fields of a config."""
    return {**recipe, "model": renamed_section(recipe["model"])} if "model" in recipe else recipe


# a recipe written by hand has no number: a migration leaves what is in the new format
RECIPE_FORMATS = Formats({1: _with_originals})
CHECKPOINT_FORMATS = Formats({1: _with_named_counters})
