"""The formats of recipe.yaml and of a training checkpoint."""

from __future__ import annotations

from typing import Any

from nextframe.core.formats import Formats


def _with_named_counters(state: dict[str, Any]) -> dict[str, Any]:
    """Format 1 had the counters as a list."""
    names = ("step", "stage_step", "stage_index", "seconds", "stage_seconds", "scale")
    if not isinstance(state["counters"], list):
        raise TypeError("a checkpoint of format 1 has a list of counters")
    return {**state, "counters": dict(zip(names, state["counters"], strict=True))}


RECIPE_FORMATS = Formats({})  # a recipe written by hand has no number: a migration leaves what is in the new format
CHECKPOINT_FORMATS = Formats({1: _with_named_counters})
