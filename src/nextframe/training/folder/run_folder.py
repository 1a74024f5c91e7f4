"""A run's folder before the run begins: whether it can be used, and the recipe that is kept in it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.lock import LOCK
from nextframe.core.files.room import FULL, full
from nextframe.core.files.whole_file import free_name, write_whole
from nextframe.data import ClipSet
from nextframe.data.clipset import IN_MEMORY
from nextframe.data.open import is_path
from nextframe.data.sets import DATASETS
from nextframe.training.parallel.launch import started_outside
from nextframe.training.recipe import Recipe, read_recipe

LOG = logging.getLogger(__name__)
DATA = "data.json"  # what tells the data of the run from other data
MAY_CHANGE = {
    *("steps", "minutes", "log_every", "val_every", "checkpoint_every"),
    *("workers", "device", "strategy", "compile", "track", "checkpoint_activations"),
}


def check_folder(recipe: Recipe, folder: Path, resume: bool) -> None:
    """Refuse a folder that holds something else than the run that `recipe` continues.

    The place of the data may be another one: `check_data` looks whether the same data is there.
    """
    if resume and (folder / "recipe.yaml").exists():
        stored = read_recipe(folder)
        changed = differences(_with_place_of(stored, recipe), recipe)
        if changed:
            raise UserError(f"{folder} was trained with another {changed[0]}: omit it, or use another folder")
    elif folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
        raise UserError(
            f"{folder} exists already: continue with --resume (in Python resume=True), or give another folder"
        )


def _with_place_of(stored: Recipe, recipe: Recipe) -> Recipe:
    """Return `stored` with its data at the place of `recipe`'s, if both are paths or copies of one data set."""
    new, options = recipe.data, dict(stored.data.options)
    if "root" in new.options:
        options["root"] = new.options["root"]
    place: dict[str, Any] = {"options": options}
    if is_path(new.name) and stored.data.name not in DATASETS and not new.mix:
        place["name"] = new.name
    return stored.model_copy(update={"data": stored.data.model_copy(update=place)})


def check_data(folder: Path, recipe: Recipe, clips: ClipSet) -> None:
    """Refuse to continue a run with other data than it began with, if its place has changed or it has none.

    Raises:
        UserError: the line has the numbers of both.
    """
    if not (folder / "recipe.yaml").exists():
        return
    stored = read_recipe(folder).data
    if stored.name != IN_MEMORY and (stored.name, stored.options) == (recipe.data.name, recipe.data.options):
        return
    whose = f"the data that {folder} was trained on"
    if not (folder / DATA).exists():  # a run of an earlier version
        if is_path(stored.name):
            raise UserError(f"'{stored.name}', {whose}, is still there: omit --data, or use another folder")
        LOG.warning("%s: whether %s is %s cannot be checked", folder, recipe.data.name, whose)
        return
    before, now = json.loads((folder / DATA).read_text(encoding="utf-8")), clips.facts()
    if before != now:
        raise UserError(f"{recipe.data.name} is not {whose}: it has {_words(now)}, that had {_words(before)}")


def _words(facts: Mapping[str, Any]) -> str:
    size = "x".join(map(str, facts["frame_shape"]))
    counts = ", ".join(f"{split} {count}" for split, count in facts["clips"].items())
    sources = f"{facts['sources']} sources of {facts['frames']} frames, " if "sources" in facts else ""
    return f"{sources}clips {counts} of {size}" + (f" ({facts['digest'][:8]})" if "digest" in facts else "")


def claim(recipe: Recipe, folder: Path, clips: ClipSet) -> None:
    """Make the run folder, with the recipe and the facts of its data in it."""
    stored = folder / "recipe.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = stored.with_suffix(".tmp")
        fresh.write_text(recipe.to_yaml(), encoding="utf-8")
        fresh.replace(stored)
        write_whole(folder / DATA, json.dumps(clips.facts(), indent=1) + "\n")
    except OSError as error:
        if error.errno in FULL:
            raise full(stored) from None
        raise BadInputError(folder, f"cannot be written ({error.strerror})", "give another folder") from None


def next_folder(name: str, parent: Path = Path("runs")) -> Path:
    """Return parent/NAME, or the first of parent/NAME-2, parent/NAME-3... that does not exist.

    Processes that torchrun or SLURM started have to agree on one: for them it is parent/NAME.
    """
    return parent / name if started_outside() else free_name(parent, name)


def newest_run(name: str, parent: Path = Path("runs")) -> Path | None:
    """Return the run, of those that `next_folder` names, which was begun or continued last; None: there is none."""
    numbered = re.compile(rf"{re.escape(name)}(-\d+)?")
    runs = [path for path in parent.glob("*/recipe.yaml") if numbered.fullmatch(path.parent.name)]
    return max(runs, key=lambda path: path.stat().st_mtime).parent if runs else None


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Return the dotted names of fields in which two recipes differ, except budget and cadence."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    names = [f"{section}.{name}" for section, fields in after.items() for name in fields]
    return [
        name
        for name in names
        if before[name.split(".")[0]].get(name.split(".")[1]) != after[name.split(".")[0]][name.split(".")[1]]
        and not (name.startswith("training.") and name.split(".")[1] in MAY_CHANGE)
    ]
