"""A run's folder before the run begins: whether it can be used, and the recipe that is kept in it."""

from __future__ import annotations

from pathlib import Path

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.lock import LOCK
from nextframe.core.files.room import FULL, full
from nextframe.training.recipe import Recipe, read_recipe

MAY_CHANGE = {
    *("steps", "minutes", "log_every", "val_every", "checkpoint_every"),
    *("workers", "device", "strategy", "compile"),
}


def check_folder(recipe: Recipe, folder: Path, resume: bool) -> None:
    """Refuse a folder that holds something else than the run that `recipe` continues."""
    if resume and (folder / "recipe.yaml").exists():
        changed = differences(read_recipe(folder), recipe)
        if changed:
            raise UserError(f"{folder} was trained with another {changed[0]}: omit it, or use another folder")
    elif folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
        raise UserError(
            f"{folder} exists already: continue with --resume (in Python resume=True), or give another folder"
        )


def claim(recipe: Recipe, folder: Path) -> None:
    """Make the run folder, with the recipe in it."""
    stored = folder / "recipe.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = stored.with_suffix(".tmp")
        fresh.write_text(recipe.to_yaml(), encoding="utf-8")
        fresh.replace(stored)
    except OSError as error:
        if error.errno in FULL:
            raise full(stored) from None
        raise BadInputError(folder, f"cannot be written ({error.strerror})", "give another folder") from None


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
