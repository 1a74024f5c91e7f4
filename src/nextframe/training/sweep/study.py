"""Optuna's part of a sweep: which settings a trial gets, whether it is stopped early, and what is kept of it.

Akiba et al. 2019, Optuna: A Next-generation Hyperparameter Optimization Framework, arXiv 1907.10902. Settings in ranges
are chosen by its tree-structured Parzen estimator, trials that are behind the median of others at the same step are
pruned, and study.db in the sweep's folder keeps it all.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nextframe.core.errors import NotSupportedError, UserError
from nextframe.core.seeds.seeding import derive_seed
from nextframe.training.folder.run_folder import differences
from nextframe.training.recipe import Recipe
from nextframe.training.sweep.result import Trial, ranked
from nextframe.training.sweep.space import Choices, Space, combinations

if TYPE_CHECKING:
    import optuna

FIRST = 4  # trials that are trained to their end before any is pruned
STATES: dict[str, Literal["done", "pruned", "failed"]] = {"COMPLETE": "done", "PRUNED": "pruned", "FAIL": "failed"}
FREE = ("device", "workers", "compile", "track")  # of training: what a sweep may go on with changed


def check_installed() -> None:
    """Refuse a sweep without Optuna, before any work."""
    if importlib.util.find_spec("optuna") is None:
        raise NotSupportedError("a sweep needs optuna: pip install 'nextframe[sweep]'")


class Study:
    """The trials of a sweep, in study.db of its folder."""

    def __init__(self, folder: Path, recipe: Recipe, space: Space) -> None:
        """Open the study in `folder`, or make one.

        Raises:
            UserError: it is of another recipe, or goes over something else.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.recipe, self.space = recipe, space
        self.order = combinations(space, recipe.training.seed)
        pruner = optuna.pruners.MedianPruner(FIRST, n_warmup_steps=(recipe.training.steps or 0) // 4)
        place = f"sqlite:///{(folder / 'study.db').resolve().as_posix()}"
        self.study = optuna.create_study(storage=place, study_name="sweep", pruner=pruner, load_if_exists=True)
        self._check(folder)

    def trials(self) -> tuple[Trial, ...]:
        """Return the trials that have ended, the best first."""
        ended = [trial for trial in self.study.get_trials() if trial.state.is_finished()]
        return ranked(self._trial(trial) for trial in ended)

    def next_trial(self) -> tuple[optuna.Trial, bool]:
        """Return the trial that was interrupted, and True; or else a new one, and False."""
        import optuna

        trials = self.study.get_trials(deepcopy=False)
        running = [trial for trial in trials if trial.state.name == "RUNNING"]
        waiting = [trial for trial in trials if trial.state.name == "WAITING"]  # killed before it was asked for
        number = (running or waiting)[0].number if running or waiting else len(trials)
        seed = derive_seed(self.recipe.training.seed, "sweep", number) % 2**32  # so that resuming changes no trial
        self.study.sampler = optuna.samplers.TPESampler(seed=seed)
        if running:
            return optuna.Trial(self.study, running[0]._trial_id), True
        if self.order and not waiting:
            self.study.enqueue_trial(self.order[number])
        return self.study.ask(), False

    def settings(self, trial: optuna.Trial) -> dict[str, Any]:
        """Return what `trial` sets, by dotted names."""
        return {field: self._suggested(trial, field) for field in self.space}

    def report(self, trial: optuna.Trial, step: int, value: float) -> bool:
        """Take the validation of a step; return whether the trial is to be pruned."""
        if step not in self.study.get_trials(deepcopy=False)[trial.number].intermediate_values:
            trial.report(value, step)  # else it was, before the trial was interrupted
        return bool(trial.should_prune())

    def end(
        self, trial: optuna.Trial, state: Literal["done", "pruned", "failed"], value: float | None, why: str
    ) -> None:
        """Keep how a trial ended."""
        import optuna

        trial.set_user_attr("lowest", value)
        trial.set_user_attr("why", why)
        name = next(name for name, ours in STATES.items() if ours == state)
        self.study.tell(trial, value if state == "done" else None, state=optuna.trial.TrialState[name])

    def _suggested(self, trial: optuna.Trial, field: str) -> Any:
        part = self.space[field]
        if isinstance(part, Choices):
            return part.labels[trial.suggest_categorical(field, list(part.labels))]
        if part.whole:
            return trial.suggest_int(field, int(part.low), int(part.high), log=part.log)
        return trial.suggest_float(field, part.low, part.high, log=part.log)

    def _trial(self, trial: optuna.trial.FrozenTrial) -> Trial:
        settings = {name: self._plain(name, value) for name, value in trial.params.items()}
        attrs: Mapping[str, Any] = trial.user_attrs
        state = STATES[trial.state.name]
        return Trial(trial.number, state, attrs.get("lowest"), settings, name_of(trial.number), attrs.get("why", ""))

    def _plain(self, field: str, value: Any) -> Any:
        part = self.space[field]
        return part.labels[value] if isinstance(part, Choices) else value

    def _check(self, folder: Path) -> None:
        kept: Mapping[str, Any] = self.study.user_attrs
        over = {field: repr(part) for field, part in self.space.items()}
        if not kept:
            self.study.set_user_attr("over", over)
            self.study.set_user_attr("recipe", self.recipe.model_dump(mode="json"))
            return
        if kept["over"] != over:
            raise UserError(f"{folder} sweeps over something else ({', '.join(kept['over'])}): give the same --over")
        stored = Recipe.parse(kept["recipe"], str(folder))
        now = {name: getattr(self.recipe.training, name) for name in FREE}
        stored = stored.model_copy(update={"training": stored.training.model_copy(update=now)})
        if stored != self.recipe:
            what = next(iter(differences(stored, self.recipe)), "budget or cadence")
            raise UserError(f"{folder} is a sweep with another {what}: give the same, or another folder")


def name_of(number: int) -> str:
    """Return the name of a trial's run folder."""
    return f"trial-{number:03d}"
