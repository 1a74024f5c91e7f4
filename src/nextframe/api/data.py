"""A recipe with the user's data: which clips, and how the recipe describes them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nextframe.core.errors import UnknownNameError, UserError
from nextframe.data import ClipSet, DataConfig, open_data
from nextframe.data.clipset import IN_MEMORY
from nextframe.data.given import Data, clips_of
from nextframe.data.huggingface.clips import open_dataset
from nextframe.data.huggingface.columns import has_videos
from nextframe.data.huggingface.hub import is_hub_name
from nextframe.data.items import Source
from nextframe.data.open import is_path
from nextframe.training import Recipe, override

SIZE = (64, 64)  # default size of frames that are read from a path, so that videos of any size can be trained on


def with_data(recipe: Recipe, data: Data | None, wanted: Mapping[str, Any]) -> tuple[Recipe, ClipSet]:
    """Return the recipe with `data` and the dotted settings `wanted` in it, and its clips, opened.

    Raises:
        UserError: an unknown name or field, or settings that clips in memory cannot follow.
    """
    if data is None or isinstance(data, DataConfig | str | os.PathLike):
        changed = override(_named(recipe, data), wanted)
        try:
            return changed, open_data(changed.data)
        except UnknownNameError as error:
            if data is not None:
                raise
            raise UserError(f"{error}; if that was the name of clips in memory, give them again") from None
    if has_videos(data):
        changed = override(_named(recipe, IN_MEMORY), wanted)
        return changed, open_dataset(data, changed.data)
    clips = data if isinstance(data, ClipSet) else _from_memory(recipe, data, wanted)
    _check_cut(clips, wanted)
    return override(recipe.model_copy(update={"data": describe(clips)}), wanted), clips


def describe(clips: ClipSet) -> DataConfig:
    """Return how `clips` are cut, for the recipe of a run; their name cannot be opened."""
    gap = None if clips.task.is_forecast else clips.task.asked[0]
    size = clips.frame_shape[1:]
    return DataConfig(name=clips.name, context=clips.task.context, horizon=clips.task.horizon, gap=gap, size=size)


def _named(recipe: Recipe, data: DataConfig | str | os.PathLike[str] | None) -> Recipe:
    """Return the recipe with the data that a name, a path or a config stands for; None: its own."""
    if data is None:
        return recipe
    if isinstance(data, DataConfig):
        return recipe.model_copy(update={"data": data})
    name, changes = os.fspath(data), dict[str, Any]()
    if name != recipe.data.name:
        changes["options"] = {}  # those of another data set
    if recipe.data.size is None and any_size(name):
        changes["size"] = SIZE
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"name": name, **changes})})


def any_size(name: str) -> bool:
    """Return whether the videos of `name` may have any sizes: those of a path, of the Hub, or given as rows."""
    if is_path(name):  # a folder may have the name that rows are given
        return not (Path(name) / "prepared.json").exists()
    return is_hub_name(name) or name == IN_MEMORY


def _from_memory(recipe: Recipe, data: Source, wanted: Mapping[str, Any]) -> ClipSet:
    """Return clips of frames in memory: context and horizon as requested, as in the recipe, or as in the data."""
    own = recipe.data if recipe.data != DataConfig() else None
    context = wanted.get("data.context", own and own.context)
    horizon = wanted.get("data.horizon", own and own.horizon)
    return clips_of(data, context, horizon)


def _check_cut(clips: ClipSet, wanted: Mapping[str, Any]) -> None:
    is_so = describe(clips).model_dump()
    for name, value in wanted.items():
        field = name.removeprefix("data.")
        if name.startswith("data.") and is_so.get(field) != value:
            raise UserError(f"{name}={value!r}: the clips are in memory already, with {field} {is_so.get(field)!r}")
