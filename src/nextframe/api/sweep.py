"""A sweep in one line: a model, its data, and what to try."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nextframe.api.data import with_data
from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import free_name
from nextframe.data.given import Data
from nextframe.recipes import load_recipe
from nextframe.training.sweep.result import Sweep
from nextframe.training.sweep.sweep import sweep as sweep_recipe


def sweep(
    model: str | os.PathLike[str],
    data: Data | None = None,
    *,
    over: Mapping[str, str | Sequence[Any]],
    trials: int | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    settings: Mapping[str, Any] | None = None,
    folder: str | os.PathLike[str] | None = None,
    resume: bool = False,
    quiet: bool = False,
) -> Sweep:
    """Train a model with other settings again and again; return the trials, the best on the val split first.

    Args:
        model: the name of a model or recipe, or a recipe file.
        data: the name of a data set, a path to videos, clips, a tensor (N, T, C, H, W), an array or a torch Dataset;
            None: the recipe's own.
        over: by field of the recipe, choices or a range: {"model.width": [32, 64], "training.lr": "1e-4..1e-2:log"}.
        trials: trainings in all; None: every combination of choices, or 20 if there is a range.
        steps: how many steps each; or give minutes. Neither: as long as the recipe says.
        minutes: how long each.
        settings: other fields of the recipe, the same for all trials.
        folder: of the sweep; None: the next free one of sweeps/NAME, sweeps/NAME-2...
        resume: go on with the sweep in `folder`; more trials add some.
        quiet: no progress.

    Raises:
        UserError: an unknown name or field, a range that is empty, or a folder that is in use.
    """
    if resume and folder is None:
        raise UserError("resume needs the sweep's folder: give it, as folder='sweeps/compact'")
    place = Path(folder) if folder is not None else free_name(Path("sweeps"), Path(model).stem)
    short = {"training.steps": steps, "training.minutes": minutes}
    wanted = {name: value for name, value in short.items() if value is not None} | dict(settings or {})
    recipe, clips = with_data(load_recipe(os.fspath(model)), data, wanted)
    return sweep_recipe(recipe, over, place, trials=trials, resume=resume, show=not quiet, clips=clips)
