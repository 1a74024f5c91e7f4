"""A run folder from start to end: recipe in, training with validation, checkpoints and pictures, model out."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

from nextframe.checkpoint import create_model, save_model
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.progress import ProgressBar
from nextframe.core.seeding import seed_everything
from nextframe.data import ClipSet, open_data
from nextframe.models.contract import Predictor, TrainedTask, check_task
from nextframe.training.checkpoints import load_state, save_state
from nextframe.training.devices import make_fabric
from nextframe.training.logs import MetricsFile
from nextframe.training.parts import take_parts, take_weights
from nextframe.training.recipe import Recipe, check_known, model_fields, read_recipe
from nextframe.training.samples import save_samples
from nextframe.training.schedule import Patience
from nextframe.training.trainer import Trainer
from nextframe.training.validation import averaged_weights, validate

LOG = logging.getLogger(__name__)


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    devices: int = 1,
    show: bool = True,
    model: Predictor | None = None,
    clips: ClipSet | None = None,
) -> Run:
    """Train `recipe` into the run folder `folder` and return the finished run.

    Args:
        recipe: with resume it must be the run folder's own, but for budget, cadence, device and workers.
        folder: new, or a run that was stopped and is resumed exactly: same batches, same losses.
        resume: go on from the last checkpoint; a folder without one starts from the beginning.
        devices: processes to start, one a device.
        show: progress on a terminal, log lines elsewhere.
        model: trained as it is, in place, and described by `recipe.model`; None: made from it.
        clips: those that `recipe.data` describes, open already; None: opened.

    Raises:
        UserError: the folder holds another run, or the recipe does not fit its data.
    """
    _check_folder(recipe, folder, resume)
    fabric = make_fabric(recipe.training, devices)
    clips = open_data(recipe.data) if clips is None else clips
    seed_everything(recipe.training.seed, "weights")
    if model is None:
        model = create_model(recipe.model.name, **model_fields(recipe.model, clips))
    check_task(model, clips.task, recipe.model.name)
    model.check_data(clips.task, clips.frame_shape)
    check_known(model, clips, recipe.model.name)
    take_parts(model, recipe.training.stage_from)
    take_weights(model, recipe.training.start_from)
    model.to(fabric.device)
    run = Run(recipe, folder, model, clips, fabric, show)
    _claim(recipe, folder)  # not before all settings have proved good: a mistake leaves nothing behind
    run.start(resume)
    return run


class Run:
    """One training run and its folder."""

    def __init__(
        self, recipe: Recipe, folder: Path, model: Predictor, clips: ClipSet, fabric: Any, show: bool = True
    ) -> None:
        self.recipe, self.config, self.folder = recipe, recipe.training, folder
        self.model, self.clips, self.fabric, self.show = model, clips, fabric, show
        self.trainer = Trainer(model, clips, self.config, fabric)
        self.best = math.inf
        self.stopping = Patience(self.config.early_stopping or 1)
        self.line: dict[str, Any] = {}
        self._warned: str | None = None
        self._logged = (0, 0.0)  # step and training seconds of the last log line, for the speed

    def start(self, resume: bool) -> None:
        """Train until the budget is spent or early stopping says so; Ctrl-C leaves a checkpoint to resume from."""
        state = load_state(self.folder / "checkpoints") if resume else None
        if state is not None:
            self._load(state)
        self.metrics = MetricsFile(self.folder, self.trainer.step) if self.fabric.is_global_zero else None
        with ProgressBar(self.recipe.model.name, show=self.show and self.fabric.is_global_zero) as self.bar:
            try:
                self.trainer.run(self._after_step, str(self.folder))
                self._finish()
            except KeyboardInterrupt:
                self._checkpoint()
                LOG.warning("stopped at step %d; go on with --resume -o %s", self.trainer.step, self.folder)
                raise
            finally:
                if self.metrics:
                    self.metrics.close()

    def _after_step(self) -> bool:
        step, config = self.trainer.step, self.config
        self.line = {}
        done = self.trainer.progress >= 1
        if step % config.log_every == 0 or done:
            self._log()
        stop = (step % config.val_every == 0 or done) and self._validate()
        if self.line and self.metrics:
            self.metrics.write(step, self.line)
        if step % config.checkpoint_every == 0:
            self._checkpoint()
        self.bar.update(self.trainer.progress)
        return stop

    def _log(self) -> None:
        trainer = self.trainer
        trainer.window.check(trainer.step)
        steps, seconds = trainer.step - self._logged[0], trainer.seconds - self._logged[1]
        self._logged = (trainer.step, trainer.seconds)
        speed = steps * self.config.batch / seconds if seconds > 0 else 0.0
        self.line |= trainer.window.means()
        self._warn()
        self.line |= {
            "lr": trainer.rate,
            "clips_per_s": round(speed, 2),
            "seconds": round(trainer.seconds, 3),
        }
        if len(trainer.stages) > 1:
            self.line["stage"] = trainer.stage.name
        note = f"loss {self.line.get('train/loss', math.nan):.4f}  {speed:.1f} clips/s"
        self.bar.say(trainer.step, trainer.progress, note)

    def _warn(self) -> None:
        """Pass on what the model has to say about the newest means, once until it changes."""
        text = self.model.warning(self.line)
        if text is not None and text != self._warned:
            LOG.warning("step %d: %s", self.trainer.step, text)
        self._warned = text

    def _validate(self) -> bool:
        """Validate with the weights that would be kept; return whether to stop early."""
        trainer, config = self.trainer, self.config
        stop = False
        with averaged_weights(self.model, trainer.average):
            if self.fabric.is_global_zero:
                values = validate(self.model, trainer.stage, self.clips, config.val_clips, config.batch, self.fabric)
                stop = self._take(values) if values else False
        return bool(self.fabric.broadcast(stop))

    def _take(self, values: dict[str, float]) -> bool:
        self.line |= values
        value = values[self.config.monitor]
        self.bar.say(self.trainer.step, self.trainer.progress, f"{self.config.monitor} {value:.5f}")
        picture = save_samples(self.model, self.clips, self.folder, self.trainer.step, self.fabric.device)
        if self.metrics and picture is not None:
            self.metrics.picture(self.trainer.step, "samples", picture)
        if not self.trainer.in_last_stage:  # no model to keep yet, and its loss is another one
            return False
        if self.config.keep == "best" and value < self.best:
            self._save_model()
        self.best = min(self.best, value)
        self.trainer.cut_rate(value)
        return self.stopping.update(value) and self.config.early_stopping is not None

    def _finish(self) -> None:
        """Leave the last checkpoint and, where the last weights are kept or none are yet, the model."""
        if self.config.keep == "last" or not (self.folder / "model").exists():
            with averaged_weights(self.model, self.trainer.average):
                self._save_model()
        self._checkpoint()

    def _save_model(self) -> None:
        task = TrainedTask(
            context=self.clips.task.context,
            horizon=self.clips.task.horizon,
            size=self.clips.frame_shape[1:],
            channels=self.clips.frame_shape[0],
            gap=self.recipe.data.gap,
            fps=self.clips.fps,
            data=self.recipe.data.name,
        )
        facts = {"step": self.trainer.step, "seed": self.config.seed}
        save_model(self.model, self.folder / "model", task=task, training=facts)

    def _checkpoint(self) -> None:
        if not self.fabric.is_global_zero:
            return
        self.trainer.window.check(self.trainer.step)
        state = self.trainer.state_dict() | {"best": self.best, "stopping": self.stopping.state_dict()}
        save_state(self.folder / "checkpoints", state)

    def _load(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)
        self.best = state["best"]
        self.stopping.load_state_dict(state["stopping"])
        self._logged = (self.trainer.step, self.trainer.seconds)


MAY_CHANGE = {"steps", "minutes", "workers", "device", "log_every", "val_every", "checkpoint_every"}


def _check_folder(recipe: Recipe, folder: Path, resume: bool) -> None:
    """Refuse a folder that holds something else than the run that `recipe` goes on with."""
    if resume and (folder / "recipe.yaml").exists():
        changed = differences(read_recipe(folder), recipe)
        if changed:
            raise UserError(f"{folder} was trained with another {changed[0]}: leave it out, or start another folder")
    elif folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"{folder} exists already: go on with --resume, or give another folder with -o")


def _claim(recipe: Recipe, folder: Path) -> None:
    """Make the run folder, with the recipe in it."""
    stored = folder / "recipe.yaml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = stored.with_suffix(".tmp")
        fresh.write_text(recipe.to_yaml(), encoding="utf-8")
        fresh.replace(stored)
    except OSError as error:
        raise BadInputError(folder, f"cannot be written ({error.strerror})", "give another folder") from None


def differences(old: Recipe, new: Recipe) -> list[str]:
    """Return the dotted names of fields in which two recipes differ, budget and cadence aside."""
    before, after = old.model_dump(mode="json"), new.model_dump(mode="json")
    names = [f"{section}.{name}" for section, fields in after.items() for name in fields]
    return [
        name
        for name in names
        if before[name.split(".")[0]].get(name.split(".")[1]) != after[name.split(".")[0]][name.split(".")[1]]
        and not (name.startswith("training.") and name.split(".")[1] in MAY_CHANGE)
    ]
