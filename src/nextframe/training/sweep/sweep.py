"""A sweep from start to end: trial after trial in this process, a run folder each, and a table."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextframe.core.errors import NextframeError, UserError
from nextframe.core.files.lock import LOCK, locked
from nextframe.core.files.room import room_for
from nextframe.core.progress import tell
from nextframe.data import ClipSet, open_data
from nextframe.models import MODELS
from nextframe.training.recipe import Recipe, model_fields, override
from nextframe.training.run import Run, train
from nextframe.training.sweep.result import Sweep
from nextframe.training.sweep.space import Space, read_space
from nextframe.training.sweep.study import Study, check_installed, name_of

if TYPE_CHECKING:
    import optuna

LOG = logging.getLogger(__name__)
TRIALS = 20  # if a range is swept and no number is given; of choices alone, every combination
HOPELESS = 3  # trials that fail before any other is done: then it is the recipe that is wrong


def sweep(
    recipe: Recipe,
    over: Mapping[str, str | Sequence[Any]],
    folder: Path,
    *,
    trials: int | None = None,
    resume: bool = False,
    show: bool = True,
    clips: ClipSet | None = None,
) -> Sweep:
    """Train `recipe` with other settings again and again; return the trials, the best first.

    They are compared by the lowest `training.monitor` of each: the validation split alone. All start from one seed.

    Args:
        recipe: what all trials share, budget included.
        over: by dotted field "64,128" or [64, 128], "1e-4..1e-2" or "1e-4..1e-2:log".
        folder: of the sweep; each trial has a run folder in it.
        trials: how many in all, those of before included; None: every combination of choices, or 20 with a range.
        resume: go on with the sweep in `folder`, and with the trial that was interrupted.
        show: progress.
        clips: those that `recipe.data` describes, open already; None: opened.

    Raises:
        UserError: a field, choice or range that the recipe cannot take, or a folder that is in use.
        NextframeError: the first three trials fail.
    """
    check_installed()
    space, clips = read_space(over), clips or open_data(recipe.data)
    _check(recipe, space, clips)
    if not resume and folder.is_dir() and any(path.name != LOCK for path in folder.iterdir()):
        raise UserError(f"{folder} exists already: continue with --resume (in Python resume=True), or give another")
    with locked(folder), room_for(folder):
        study = Study(folder, recipe, space)
        wanted = trials if trials is not None else len(study.order) or TRIALS
        wanted = min(wanted, len(study.order) or wanted)
        while (done := len(study.trials())) < wanted:
            trial, interrupted = study.next_trial()
            if show:
                tell(LOG, f"{folder}: trial {done + 1} of {wanted}")
            _train(study, trial, folder, resume=interrupted, show=show, clips=clips)
            Sweep(folder, recipe.training.monitor, study.trials()).write()
            _check_hope(study)
        return Sweep(folder, recipe.training.monitor, study.trials())


def _train(study: Study, trial: optuna.Trial, folder: Path, *, resume: bool, show: bool, clips: ClipSet) -> None:
    """Train one trial to its end, to where it is pruned, or to its error."""
    settings, lowest = study.settings(trial), math.inf
    recipe, pruned = override(study.recipe, settings), False
    own = None if any(name.startswith("data.") for name in settings) else clips

    def watch(step: int, value: float) -> bool:
        nonlocal lowest, pruned
        lowest = min(lowest, value)
        pruned = study.report(trial, step, value)
        return pruned

    try:
        run = train(recipe, folder / name_of(trial.number), resume=resume, show=show, clips=own, watch=watch)
    except KeyboardInterrupt:
        LOG.warning("the sweep goes on with --resume -o %s (in Python folder=..., resume=True)", folder)
        raise
    except NextframeError as error:
        study.end(trial, "failed", lowest if math.isfinite(lowest) else None, str(error))
    else:
        _end(study, trial, run, pruned)


def _end(study: Study, trial: optuna.Trial, run: Run, pruned: bool) -> None:
    if not math.isfinite(run.best):
        study.end(trial, "failed", None, f"{run.config.monitor} was never finite")
        return
    cut = pruned and run.trainer.progress < 1  # at the last validation there is nothing left to save
    study.end(trial, "pruned" if cut else "done", run.best, "")


def _check_hope(study: Study) -> None:
    trials = study.trials()
    if len(trials) >= HOPELESS and all(trial.state == "failed" for trial in trials):
        raise NextframeError(f"all of {len(trials)} trials failed: {trials[-1].why}")


def _check(recipe: Recipe, space: Space, clips: ClipSet) -> None:
    """Refuse what the recipe cannot take, each end of each field by itself, before any trial."""
    if clips.count("val") == 0:
        raise UserError("the val split has no clips: there is nothing to compare trials by")
    for field, part in space.items():
        for value in part.ends:
            model = override(recipe, {field: value}).model
            MODELS.get(model.name).Config.parse(model_fields(model, clips), model.name)
