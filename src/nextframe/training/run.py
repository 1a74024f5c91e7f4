"""A run folder from start to end: recipe in, training with validation, checkpoints and images, model out."""

from __future__ import annotations

import copy
import logging
import math
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from nextframe.checkpoint import create_model
from nextframe.core.files.lock import locked
from nextframe.core.files.room import room_for
from nextframe.core.progress import ProgressBar, tell
from nextframe.core.seeds.seeding import seed_everything
from nextframe.data import ClipSet, open_data
from nextframe.data.open import check_there
from nextframe.layers.batch_norm import synchronise
from nextframe.models.contract import Predictor, check_task
from nextframe.training.decided import decided
from nextframe.training.folder.checkpoints import load_state, save_state
from nextframe.training.folder.kept import save_kept
from nextframe.training.folder.logs import MetricsFile
from nextframe.training.folder.run_folder import check_data, check_folder, claim
from nextframe.training.folder.samples import save_samples
from nextframe.training.job import Job, Watch
from nextframe.training.loader import explained_deaths
from nextframe.training.optim.schedule import Patience
from nextframe.training.parallel.devices import check_devices, make_fabric
from nextframe.training.parallel.guard import check_guard
from nextframe.training.parallel.launch import launch, processes_of, started_outside
from nextframe.training.parallel.processes import INTERRUPTED, held_interrupts, interruption
from nextframe.training.parallel.sharding import gathered
from nextframe.training.parts import take_parts, take_weights
from nextframe.training.recipe import Recipe, check_known, model_fields
from nextframe.training.track.registry import check_installed
from nextframe.training.track.trackers import Trackers, opened_trackers
from nextframe.training.trainer import Trainer
from nextframe.training.validation import Cadence, averaged_weights, validate

LOG = logging.getLogger(__name__)
IN_PYTHON = "in Python folder=..., resume=True"


def train(
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    devices: int = 1,
    show: bool = True,
    model: Predictor | None = None,
    clips: ClipSet | None = None,
    watch: Watch | None = None,
) -> Run:
    """Train `recipe` into the run folder `folder` and return the finished run.

    Args:
        recipe: with resume it must be the run folder's own, except for budget, cadence, device and workers.
        folder: new, or a run that was stopped and is resumed exactly: same batches, same losses.
        resume: continue from the last checkpoint; a folder without one starts from the beginning.
        devices: processes to start, one per device; they end with this one. Under torchrun or SLURM those that run
            already are taken instead, however many: each calls this, and the first one writes.
        show: progress on a terminal, log lines elsewhere.
        model: trained as it is, in place, and described by `recipe.model`; None: made from it.
        clips: those that `recipe.data` describes, open already; None: opened.
        watch: called with step and `training.monitor` after each validation; True ends the run. On one device only.

    Raises:
        UserError: the folder holds another run, or the recipe does not fit its data or the devices.
        NextframeError: the loss is not finite, or a process died.
    """
    check_installed(recipe.training.track)
    devices, machines = processes_of(devices)
    check_devices(recipe.training, devices, machines)
    if recipe.training.workers or (devices > 1 and not started_outside()):
        check_guard()
    job = Job(recipe, folder, resume, devices, show, model, clips, machines, watch)
    if devices == 1 or started_outside():
        return _train_here(job)
    launch(devices, _train_copy, job, advice=f"continue with --resume -o {folder} ({IN_PYTHON})")
    return _trained(job)


def _train_copy(job: Job) -> None:
    """Train in a process that was sent `job`: on a CPU the weights in it are in memory that all processes share."""
    _train_here(replace(job, model=copy.deepcopy(job.model)))


def _train_here(job: Job) -> Run:
    """Train in this process, which may be one of several."""
    fabric = make_fabric(job.recipe.training, job.devices, job.machines)
    if fabric.global_rank:
        logging.getLogger("nextframe").setLevel(logging.ERROR)  # the first process reports it for all
    elif job.resume and job.clips is None:
        check_there(job.recipe.data, str(job.folder))
    return build(job, fabric).start(job.resume)


def _trained(job: Job) -> Run:
    """Return the run that other processes have trained, with its last weights, on one device."""
    one = job.recipe.training.model_copy(update={"strategy": "auto"})
    job = replace(job, recipe=job.recipe.model_copy(update={"training": one}), resume=True, show=False)
    run = build(job, make_fabric(one))
    run.restore()
    return run


def build(job: Job, fabric: Any) -> Run:
    """Return the run that `job` describes, before its folder is touched."""
    recipe, model, clips = job.recipe, job.model, job.clips
    clips = open_data(recipe.data) if clips is None else clips
    note = ""
    if model is None:
        recipe, note = decided(recipe, clips, job.folder, resume=job.resume)
    seed_everything(recipe.training.seed, "weights")
    if model is None:
        model = create_model(recipe.model.name, **model_fields(recipe.model, clips))
    check_task(model, clips.task, recipe.model.name)
    model.check_data(clips.task, clips.frame_shape)
    check_known(model, clips, recipe.model.name)
    if note and job.show:  # after the checks: a mistake is one line
        tell(LOG, note)
    take_parts(model, recipe.training.stage_from)
    take_weights(model, recipe.training.start_from)
    model.to(fabric.device)
    if fabric.world_size > 1:
        synchronise(model)
    return Run(recipe, job.folder, model, clips, fabric, job.show, job.watch)


class Run:
    """One training run and its folder."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        model: Predictor,
        clips: ClipSet,
        fabric: Any,
        show: bool = True,
        watch: Watch | None = None,
    ) -> None:
        self.watch = watch
        self.recipe, self.config, self.folder = recipe, recipe.training, folder
        self.model, self.clips, self.fabric, self.show = model, clips, fabric, show
        self.trainer = Trainer(model, clips, self.config, fabric)
        self.processes = self.trainer.processes
        self.metrics: MetricsFile | None = None  # of the first process
        self.trackers = Trackers()  # too
        self.best = math.inf
        self.cadence = Cadence(self.config)
        self.stopping = Patience(self.config.early_stopping or 1)
        self.line: dict[str, Any] = {}
        self._warned: str | None = None
        self._logged = (0, 0.0)  # step and training seconds of the last log line, for the speed

    def start(self, resume: bool) -> Run:
        """Train until the budget is spent or early stopping says so; Ctrl-C leaves a checkpoint to resume from."""
        with ExitStack() as held:
            if self.processes.first:  # all settings are valid by now: a mistake leaves no folder behind
                check_folder(self.recipe, self.folder, resume)  # before the lock, which makes it
                held.enter_context(room_for(self.folder))
                held.enter_context(locked(self.folder))
                check_folder(self.recipe, self.folder, resume)  # a run may have ended while this one was made ready
            if resume:
                self.restore()
            if self.processes.first:
                check_data(self.folder, self.recipe, self.clips)
                self.trackers = held.enter_context(
                    opened_trackers(self.recipe, self.folder, self.trainer.step, self.show)
                )
                claim(self.recipe, self.folder, self.clips)
                self.metrics = held.enter_context(closing(MetricsFile(self.folder, self.trainer.step)))
            self.processes.wait()
            self._train()
        if INTERRUPTED.is_set() and self.processes.world == 1:  # as the run ended: nothing is left to do
            raise interruption()
        return self

    def _train(self) -> None:
        bar = ProgressBar(self.recipe.model.name, show=self.show and self.processes.first)
        plan = f"{self.config.length}, into {self.folder}"
        advice = f"continue with --resume -o {self.folder} ({IN_PYTHON})"
        with held_interrupts(self.processes.world > 1), explained_deaths(advice), bar as self.bar:
            try:
                self.bar.begin(self.trainer.step + 1, self.trainer.progress, plan)
                self.trainer.run(self._after_step, str(self.folder))
                self._finish()
            except KeyboardInterrupt:
                self._interrupted()
                raise

    def restore(self) -> None:
        """Take over the last checkpoint, if there is one."""
        if (state := load_state(self.folder / "checkpoints")) is not None:
            self._load(state)

    def _interrupted(self) -> None:
        """Write a checkpoint, if the trainer is between two steps, and all processes at the same one."""
        if self.trainer.between_steps and (self.processes.interrupted or self.processes.world == 1):
            self._checkpoint()
        LOG.warning("stopped at step %d; continue with --resume -o %s (%s)", self.trainer.step, self.folder, IN_PYTHON)

    def _after_step(self) -> bool:
        step, config = self.trainer.step, self.config
        self.line = {}
        done = self.trainer.progress >= 1
        if step % config.log_every == 0 or done:
            self._log()
        stop = self.cadence.is_due(step, self.trainer.progress) and self._validate()
        if self.line and self.metrics:
            self.metrics.write(step, self.line)
            self.trackers.log(step, self.line)
        if step % config.checkpoint_every == 0:
            self._checkpoint()
        self.bar.update(self.trainer.progress, step)
        return stop

    def _log(self) -> None:
        trainer = self.trainer
        trainer.settle()
        steps, seconds = trainer.step - self._logged[0], trainer.seconds - self._logged[1]
        self._logged = (trainer.step, trainer.seconds)
        speed = steps * self.config.clips / seconds if seconds > 0 else 0.0
        self.line |= trainer.window.means()
        self._warn()
        self.line |= {"lr": trainer.rate, "clips_per_s": round(speed, 2), "seconds": round(trainer.seconds, 3)}
        if len(trainer.stages) > 1:
            self.line["stage"] = trainer.stage.name
        note = f"loss {self.line.get('train/loss', math.nan):.4f}  {speed:.1f} clips/s"
        self.bar.say(trainer.step, trainer.progress, note)

    def _warn(self) -> None:
        """Log the model's remark about the newest means, once until it changes."""
        text = self.model.warning(self.line)
        if text is not None and text != self._warned:
            LOG.warning("step %d: %s", self.trainer.step, text)
        self._warned = text

    def _validate(self) -> bool:
        """Validate with the weights that would be kept; return whether to stop early."""
        trainer = self.trainer
        with averaged_weights(self.model, trainer.average):
            self.processes.share_buffers(self.model)
            with trainer.whole_weights():
                values = validate(self.model, trainer.stage, self.clips, self.config, trainer.arithmetic)
                self._show_samples(values)
            return bool(values) and self._take(self.processes.share(values))

    def _show_samples(self, values: dict[str, float]) -> None:
        if not (self.processes.first and values):
            return
        step, config = self.trainer.step, self.config
        self.bar.say(step, self.trainer.progress, f"{config.monitor} {values[config.monitor]:.5f}")
        endings, device = self.trackers.endings, self.fabric.device
        for path in save_samples(self.model, self.clips, self.folder, step, device, config.samples, endings):
            self.trackers.media(step, "samples", path)

    def _take(self, values: dict[str, float]) -> bool:
        """Decide by `values`, which all processes share: what is kept, the rate, and whether to stop."""
        self.line |= values
        value = values[self.config.monitor]
        if not self.trainer.in_last_stage:  # no model to keep yet, and its loss is another one
            return False
        if self.config.keep == "best" and value < self.best:
            self._save_model()
        self.best = min(self.best, value)
        self.trainer.cut_rate(value)
        early = self.stopping.update(value) and self.config.early_stopping is not None
        return early or (self.watch is not None and self.watch(self.trainer.step, value))

    def _finish(self) -> None:
        """Write the last checkpoint and, if the last weights are kept or there are none yet, the model."""
        if self.processes.share(self.config.keep == "last" or not (self.folder / "model").exists()):
            with averaged_weights(self.model, self.trainer.average):
                self._save_model()
        self._checkpoint()

    def _save_model(self) -> None:
        model = gathered(self.model)
        if self.processes.first:
            save_kept(model, self.recipe, self.clips, self.folder, self.trainer.step)

    def _checkpoint(self) -> None:
        self.trainer.settle()
        self.processes.share_buffers(self.model)
        state = self.trainer.state_dict() | {"best": self.best, "stopping": self.stopping.state_dict()}
        if self.processes.first:
            save_state(self.folder / "checkpoints", state)

    def _load(self, state: dict[str, Any]) -> None:
        self.trainer.load_state_dict(state)
        self.best = state["best"]
        self.stopping.load_state_dict(state["stopping"])
        self._logged = (self.trainer.step, self.trainer.seconds)
