"""Names of the last release that still work for one more, and say what has replaced them."""

from __future__ import annotations

import warnings
from pathlib import Path

from nextframe.training import Recipe, Run
from nextframe.training import train as train_recipe


def train(recipe: Recipe, folder: Path, *, resume: bool = False, devices: int = 1, show: bool = True) -> Run:
    """Train a recipe into a folder, as `nextframe.training.train` does; use that, or `nextframe.fit`."""
    warnings.warn(
        "nextframe.train will be removed in the next release: use nextframe.fit(model, data, minutes=...), "
        "or nextframe.training.train(recipe, folder)",
        FutureWarning,
        stacklevel=2,
    )
    return train_recipe(recipe, Path(folder), resume=resume, devices=devices, show=show)
