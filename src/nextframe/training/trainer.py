"""The loop over stages, steps and objectives. It knows no model's name and no data set's."""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.errors import UnknownNameError, UserError
from nextframe.core.seeding import derive_seed, seed_everything
from nextframe.data import ClipSet
from nextframe.models.contract import Objective, Predictor, Stage
from nextframe.training.devices import average_gradients
from nextframe.training.loader import Steps, training_batches
from nextframe.training.logs import Window, not_finite
from nextframe.training.optimizer import Average, build_optimizer, gradient_norm, set_rate
from nextframe.training.parts import left_to_train
from nextframe.training.recipe import TrainingConfig
from nextframe.training.schedule import SCHEDULES, Patience

LOG = logging.getLogger(__name__)
FOREVER = 10**9  # more steps than a run by minutes will reach
COUNTERS = ("step", "stage_step", "stage_index", "seconds", "stage_seconds", "scale")  # what a checkpoint counts
PATIENCE = 10  # updates in a row without a finite gradient, then the run stops


@dataclass(frozen=True)
class Span:
    """A stage's part of the budget: in steps, or in seconds."""

    steps: int | None
    seconds: float | None

    def progress(self, steps: int, seconds: float) -> float:
        """Return the spent part in [0, 1] after `steps` and `seconds` in this stage."""
        if self.steps is not None:
            return min(steps / self.steps, 1.0)
        assert self.seconds is not None  # one of the two is set: TrainingConfig checks it
        return min(seconds / self.seconds, 1.0)


def spans(config: TrainingConfig, stages: list[Stage]) -> list[Span]:
    """Share the budget of `config` between `stages` by their shares; steps add up to the whole budget."""
    total = sum(stage.share for stage in stages)
    if config.minutes is not None:
        return [Span(None, config.minutes * 60 * stage.share / total) for stage in stages]
    assert config.steps is not None
    edges, done = [0], 0.0
    for stage in stages:
        done += stage.share
        edges.append(round(config.steps * done / total))
    return [Span(end - start, None) for start, end in itertools.pairwise(edges)]


def planned_stages(model: Predictor, config: TrainingConfig) -> list[Stage]:
    """Return the stages that are to be trained, with the shares that `config` gives them.

    Raises:
        UserError: there is none, or a share of a stage that the model does not have.
    """
    stages = model.stages()
    if not stages:
        raise UserError("this model has nothing to train: it is a baseline")
    for name in config.shares:
        if name not in (names := [stage.name for stage in stages]):
            raise UnknownNameError("stage", name, names)
    left = left_to_train(stages, config.stage_from)
    if not left:
        raise UserError("every stage is taken from another run: nothing is left to train")
    return [replace(stage, share=config.shares.get(stage.name, stage.share)) for stage in left]


class Trainer:
    """Trains one model on one clip set, step by step; everything that a checkpoint needs is in `state_dict`."""

    def __init__(self, model: Predictor, clips: ClipSet, config: TrainingConfig, fabric: Any) -> None:
        self.model, self.clips, self.config, self.fabric = model, clips, config, fabric
        self.stages = planned_stages(model, config)
        self.spans = spans(config, self.stages)
        self.average = Average(model, config.ema) if config.ema else None
        self.window = Window()
        self.plateau = Patience(config.plateau_patience, threshold=1e-4)  # Keras's min_delta
        self.scale, self.rate = 1.0, 0.0
        self.step = self.stage_step = self.stage_index = 0
        self.seconds = self.stage_seconds = 0.0
        self.optimizers: list[torch.optim.Optimizer] = []
        self._pending: list[dict[str, Any]] | None = None
        self._left_out: dict[str, int] = {}  # updates in a row, by objective, whose gradient was not finite

    @property
    def stage(self) -> Stage:
        """The stage that is being trained."""
        return self.stages[self.stage_index]

    @property
    def in_last_stage(self) -> bool:
        """Whether the stage that is being trained is the last: before, the model cannot predict yet."""
        return self.stage_index == len(self.stages) - 1

    @property
    def progress(self) -> float:
        """The spent part of the whole budget, in [0, 1]."""
        config = self.config
        if config.steps is not None:
            return min(self.step / config.steps, 1.0)
        return min(self.seconds / (60 * (config.minutes or 1.0)), 1.0)

    def run(self, after_step: Callable[[], bool], folder: str) -> None:
        """Train every remaining stage; `after_step` is called after each step and returns True to stop."""
        for index in range(self.stage_index, len(self.stages)):
            if index != self.stage_index:
                self.stage_index, self.stage_step, self.stage_seconds = index, 0, 0.0
            if self._run_stage(after_step, folder):
                return

    def _run_stage(self, after_step: Callable[[], bool], folder: str) -> bool:
        stage = self.stage
        clips = self.clips
        if stage.prepare:
            with self.fabric.rank_zero_first():  # it writes files, which the other processes then find
                clips = stage.prepare(clips, folder)
        self._start_optimizers(stage)
        feeds = self._feeds(stage, clips)
        span = self.spans[self.stage_index]
        clock = time.monotonic()
        while span.progress(self.stage_step, self.stage_seconds) < 1:
            self._train_step(stage, feeds, span)
            # validation and checkpoints after a step are charged with the next one
            now = time.monotonic()
            self.seconds, self.stage_seconds = self.seconds + now - clock, self.stage_seconds + now - clock
            clock = now
            if after_step():
                return True
        return False

    def _start_optimizers(self, stage: Stage) -> None:
        self.optimizers = [build_optimizer(objective, self.config) for objective in stage.objectives]
        for optimizer, state in zip(self.optimizers, self._pending or [], strict=False):
            optimizer.load_state_dict(state)
        self._pending = None

    def _feeds(self, stage: Stage, clips: ClipSet) -> list[Iterator[Clip]]:
        """One stream of batches for all objectives, and one more for each that asks for its own."""
        names = ["shared"] + [objective.name for objective in stage.objectives if objective.own_batch]
        last = self.step + (self.spans[self.stage_index].steps or FOREVER) - self.stage_step
        fabric, config = self.fabric, self.config
        return [
            training_batches(
                Steps(
                    clips,
                    "train",
                    config.seed if name == "shared" else derive_seed(config.seed, name),
                    config.batch,
                    fabric.global_rank,
                    fabric.world_size,
                    config.balance,
                ),
                self.step,
                last,
                config.workers,
            )
            for name in names
        ]

    def _train_step(self, stage: Stage, feeds: list[Iterator[Clip]], span: Span) -> None:
        seed_everything(self.config.seed, "step", self.step)  # noise and dropout: a function of (seed, step) too
        progress = span.progress(self.stage_step, self.stage_seconds)
        factor = SCHEDULES.get(self.config.schedule)(progress, self.config.warmup) * self.scale
        batches = [next(feed) for feed in feeds]
        shared = batches[0].to(self.fabric.device)
        own = iter(batches[1:])
        total = torch.zeros((), device=self.fabric.device)
        self.model.train()
        for objective, optimizer in zip(stage.objectives, self.optimizers, strict=True):
            self.rate = set_rate(optimizer, factor * objective.optimizer.final**progress)
            clip = next(own).to(self.fabric.device) if objective.own_batch else shared
            total = total + self._update(objective, optimizer, clip)
        self.window.add({"train/loss": total})
        if self.average:
            self.average.update(self.model)
        self.step += 1
        self.stage_step += 1

    def _update(self, objective: Objective, optimizer: torch.optim.Optimizer, clip: Clip) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        with self.fabric.autocast():
            loss, logs = objective.loss(clip)
        self.fabric.backward(loss)
        average_gradients(self.fabric, objective.parameters)
        norm = gradient_norm(objective.parameters, self.config.grad_clip)
        several = len(self.stage.objectives) > 1
        prefix = f"train/{objective.name}/" if several else "train/"
        if not math.isfinite(float(norm)):
            return self._leave_out(objective.name, prefix)
        self._left_out.pop(objective.name, None)
        optimizer.step()
        logs = {**logs, "grad_norm": norm, **({"loss": loss} if several else {})}
        self.window.add({prefix + name: value for name, value in logs.items()})
        return loss.detach()

    def _leave_out(self, name: str, prefix: str) -> Tensor:
        """Keep the weights as they are after a gradient that is not finite; give up when it happens again and again."""
        self._left_out[name] = self._left_out.get(name, 0) + 1
        if self._left_out[name] >= PATIENCE:
            raise not_finite(f"the gradient of {name}", self.step)
        LOG.warning("step %d: the gradient of %s is not finite: this update is left out", self.step, name)
        nothing = torch.zeros((), device=self.fabric.device)
        self.window.add({prefix + "left_out": nothing + 1})
        return nothing

    def cut_rate(self, value: float) -> None:
        """Take a validation value; with the plateau schedule, cut the rate when it has stopped improving."""
        if self.config.schedule == "plateau" and self.plateau.update(value):
            self.scale *= self.config.plateau_factor

    def state_dict(self) -> dict[str, Any]:
        """Return all that resuming needs, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "average": self.average and {"weights": self.average.weights, "updates": self.average.updates},
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "window": self.window.state_dict(),
            "plateau": self.plateau.state_dict(),
            "counters": {name: getattr(self, name) for name in COUNTERS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; optimisers get theirs when their stage starts."""
        self.model.load_state_dict(state["model"])
        if self.average and state["average"]:
            self.average.weights = state["average"]["weights"]
            self.average.updates = state["average"]["updates"]
        self._pending = state["optimizers"]
        self.window.load_state_dict(state["window"])
        self.plateau.load_state_dict(state["plateau"])
        for name in COUNTERS:
            setattr(self, name, state["counters"][name])
