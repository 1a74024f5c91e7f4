"""The loop over stages, steps and objectives. It does not depend on any model's or data set's name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.seeds.noise import clip_noise
from nextframe.core.seeds.seeding import derive_seed, seed_everything
from nextframe.data import ClipSet
from nextframe.data.order import Balance
from nextframe.layers.over_time import checkpoint_activations
from nextframe.models.contract import Predictor, Stage, StageLoss
from nextframe.training.budget import Span, planned_stages, spans
from nextframe.training.encoded import encode_clips
from nextframe.training.folder.checkpoints import check_weights
from nextframe.training.folder.logs import Window
from nextframe.training.loader import Steps, training_batches
from nextframe.training.optim.optimizer import Average, gradient_norm, set_rate
from nextframe.training.optim.schedule import SCHEDULES, Patience
from nextframe.training.optim.skips import Skips, step_unless
from nextframe.training.parallel import sharding
from nextframe.training.parallel.arithmetic import Arithmetic
from nextframe.training.parallel.processes import INTERRUPTED, Processes, interruption
from nextframe.training.recipe import TrainingConfig
from nextframe.training.turns import (
    Turn,
    at_rest,
    averaged_over_processes,
    build_turns,
    check_all_used,
    mean_of_parts,
    parted,
)

FOREVER = 10**9  # more steps than a run by minutes will reach
COUNTERS = ("step", "stage_step", "stage_index", "seconds", "stage_seconds", "scale")  # what a checkpoint counts


class Trainer:
    """Trains one model on one clip set, step by step; everything that a checkpoint needs is in `state_dict`."""

    def __init__(self, model: Predictor, clips: ClipSet, config: TrainingConfig, fabric: Any) -> None:
        self.model, self.clips, self.config, self.fabric = model, clips, config, fabric
        self.processes = Processes(fabric)
        if config.checkpoint_activations:
            checkpoint_activations(model)
        self.stages = planned_stages(model, config)
        self.loss = StageLoss(model, [objective for stage in self.stages for objective in stage.objectives])
        if config.strategy == "fsdp":
            sharding.shard(self.loss, self.stages, config)
            self.stages = planned_stages(model, config)  # whose parameters are now the spread ones
        self.spans = spans(config, self.stages)
        self.average = Average(model, config.ema) if config.ema else None
        self.window, self.skips = Window(), Skips()
        self.arithmetic = Arithmetic(config, fabric.device, self.processes)
        self.plateau = Patience(config.plateau_patience, threshold=1e-4)  # Keras's min_delta
        self.scale, self.rate = 1.0, 0.0
        self.step = self.stage_step = self.stage_index = 0
        self.seconds = self.stage_seconds = 0.0
        self.turns: list[Turn] = []
        self.between_steps = True  # False while a step, or what comes after it, is half done
        self._pending: list[dict[str, Any]] | None = None

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
        with self.arithmetic.begin():
            for index in range(self.stage_index, len(self.stages)):
                if index != self.stage_index:
                    self.stage_index, self.stage_step, self.stage_seconds = index, 0, 0.0
                    self.turns = []  # the optimisers of the stage before are not those of this one
                if self._run_stage(after_step, folder):
                    return

    def _run_stage(self, after_step: Callable[[], bool], folder: str) -> bool:
        feeds = self._feeds(self.stage, self._stage_clips(folder))
        self._start_turns()
        span = self.spans[self.stage_index]
        read = time.process_time if self.config.clock == "processor" else time.monotonic
        clock = read()
        while span.progress(self.stage_step, self.stage_seconds) < 1:
            self.between_steps = False
            self._train_step(feeds, span)
            if self.stage_step == 1:
                self.arithmetic.settle()
            # validation and checkpoints after a step are charged with the next one
            now = read()
            spent = self.processes.clock(now - clock)
            self.seconds, self.stage_seconds, clock = self.seconds + spent, self.stage_seconds + spent, now
            stop = after_step()
            self.between_steps = True
            if stop:
                return True
            if self.processes.interrupted:  # the one place where signals are acted on
                raise interruption()
        return False

    def _stage_clips(self, folder: str) -> ClipSet:
        """Return what the stage trains on: the clips, or their codes, which the first process writes to disk."""
        encode = self.stage.encode
        if encode is None:
            return self.clips
        encode = replace(encode, frames=_unless_interrupted(encode.frames))
        cache, device = Path(folder) / "latents", self.fabric.device
        with sharding.whole(self.loss):
            if self.processes.first:
                encode_clips(self.clips, cache, encode, device)
            self.processes.wait()
            return encode_clips(self.clips, cache, encode, device)  # now it is there

    def _start_turns(self) -> None:
        self.turns = build_turns(self.loss, self.stages, self.stage_index, self.config, self.fabric)
        for turn, state in zip(self.turns, self._pending or [], strict=False):
            turn.optimizer.load_state_dict(state)
            sharding.spread_state(turn.optimizer)
        self._pending = None

    def _feeds(self, stage: Stage, clips: ClipSet) -> list[Iterator[Clip]]:
        """One stream of batches for all objectives, and one more for each that asks for its own."""
        names = ["shared"] + [objective.name for objective in stage.objectives if objective.own_batch]
        last = self.step + (self.spans[self.stage_index].steps or FOREVER) - self.stage_step
        config, processes = self.config, self.processes
        balance: Balance = "in-order" if stage.name in config.in_order else config.balance
        pinned = self.fabric.device.type == "cuda"
        feeds = []
        for name in names:
            seed = config.seed if name == "shared" else derive_seed(config.seed, name)
            steps = Steps(clips, "train", seed, config.clips, processes.rank, processes.world, balance)
            batches = training_batches(steps, self.step, last, config.workers, pinned=pinned)
            feeds.append(self._placed(clips, batches, f"clips of {name}"))
        return feeds

    def _placed(self, clips: ClipSet, batches: Iterator[Clip], name: str) -> Iterator[Clip]:
        """Yield `batches` on the device; what is random there belongs to the step and the clip."""
        for batch in batches:
            with self._noise(name):
                placed = clips.on_device("train", batch, self.fabric.device)
            yield placed

    def _noise(self, name: str, part: int | None = None) -> AbstractContextManager[None]:
        """Return a block in which noise is drawn by (seed, step, name, place of the clip in the global batch).

        `part`: for the clips of that part of the step alone; None: for all that this process has.
        """
        total, parts = self.config.clips, self.config.accumulate
        index = self.processes.positions(total, self.fabric.device)
        index = index if part is None else index.chunk(parts)[part]
        ends = part is None or part == parts - 1
        return clip_noise(self.config.seed, "step", self.step, name, index=index, total=total, ends=ends)

    def _seed(self) -> None:
        """Make what draws from torch's own generators, such as dropout, a function of (seed, step, process)."""
        rank = self.processes.rank
        seed_everything(self.config.seed, "step", self.step, *(("rank", rank) if rank else ()))

    def _train_step(self, feeds: list[Iterator[Clip]], span: Span) -> None:
        self._seed()
        progress = span.progress(self.stage_step, self.stage_seconds)
        factor = SCHEDULES.get(self.config.schedule)(progress, self.config.warmup) * self.scale
        shared, *others = (next(feed) for feed in feeds)
        own = iter(others)
        total = torch.zeros((), device=self.fabric.device)
        self.model.train()
        for turn in self.turns:
            self.rate = set_rate(turn.optimizer, factor * turn.objective.optimizer.final**progress)
            total = total + self._update(turn, next(own) if turn.objective.own_batch else shared)
        self.window.add({"train/loss": total})
        if self.average:
            self.average.update(self.model)
        self.step += 1
        self.stage_step += 1

    def _update(self, turn: Turn, clip: Clip) -> Tensor:
        """Take one step of an objective; return its loss, 0 where its gradient is not finite and nothing is done."""
        name, parameters = turn.objective.name, turn.objective.parameters
        turn.optimizer.zero_grad(set_to_none=True)
        with at_rest(turn.resting):
            loss, logs = self._gradient(turn, clip)
        if self.processes.world > 1 and self.config.strategy != "fsdp":
            check_all_used(self.model, turn.objective)
        norm = gradient_norm(parameters, self.config.grad_clip)
        bad = torch.isfinite(norm).logical_not().float()
        step_unless(turn.optimizer, bad)
        self._log_update(name, {**logs, "grad_norm": norm}, loss, bad)
        return torch.where(bad > 0, 0.0, loss.detach())

    def _gradient(self, turn: Turn, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the gradient of an objective, part by part; return the means of the parts' losses and logs."""
        parts, found = self.config.accumulate, []
        for number, part in enumerate(parted(clip, parts)):
            with self._noise(turn.objective.name, number), averaged_over_processes(turn.loss, number == parts - 1):
                with self.arithmetic.autocast():
                    loss, logs = turn.loss(turn.number, part)
                self.fabric.backward(loss if parts == 1 else loss / parts)
            found.append((loss.detach(), logs))
        return mean_of_parts(found)

    def _log_update(self, name: str, logs: dict[str, Tensor], loss: Tensor, bad: Tensor) -> None:
        several = len(self.turns) > 1
        prefix = f"train/{name}/" if several else "train/"
        logs = logs | ({"loss": loss} if several else {})
        self.window.add({prefix + key: value for key, value in logs.items()}, kept=1 - bad)
        self.window.add({prefix + "left_out": bad}, kept=bad)
        self.skips.add(name, bad)
        if bad.device.type == "cpu":  # elsewhere a look waits for the device
            self.skips.look(self.step)

    def settle(self) -> None:
        """Look at what was counted, logged and computed on all processes, before it is written.

        Raises:
            NextframeError: a logged value is not finite, or too many gradients in a row were not.
        """
        self.skips.look(self.step)
        self.arithmetic.settle()
        self.window.reduce(self.processes)
        self.window.check(self.step)

    def whole_weights(self) -> AbstractContextManager[None]:
        """Return a block in which any method of the model may be called, even if its weights are sharded."""
        return sharding.whole(self.loss)

    def cut_rate(self, value: float) -> None:
        """Take a validation value; with the plateau schedule, cut the rate when it has stopped improving."""
        if self.config.schedule == "plateau" and self.plateau.update(value):
            self.scale *= self.config.plateau_factor

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs; every process calls it."""
        average = self.average and {"weights": self.average.weights, "updates": self.average.updates}
        spread = {
            "model": self.model.state_dict(),
            "average": average,
            "optimizers": [turn.optimizer.state_dict() for turn in self.turns] or self._pending or [],
        }
        return {
            **(sharding.full(spread) if self.config.strategy == "fsdp" else spread),
            "window": self.window.state_dict(),
            "plateau": self.plateau.state_dict(),
            "kernels": self.arithmetic.state_dict(),
            "counters": {name: getattr(self, name) for name in COUNTERS},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; optimisers get theirs when their stage starts."""
        check_weights(state["model"], self.model)
        self.model.load_state_dict(sharding.like(state["model"], self.model))
        if self.average and state["average"]:
            self.average.weights = sharding.like(state["average"]["weights"], self.model)
            self.average.updates = state["average"]["updates"]
        self._pending = state["optimizers"]
        self.arithmetic.load_state_dict(state.get("kernels", {}))  # earlier versions did not choose
        self.window.load_state_dict(state["window"])
        self.plateau.load_state_dict(state["plateau"])
        for name in COUNTERS:
            setattr(self, name, state["counters"][name])


def _unless_interrupted(frames: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Return `frames`, which first acts on a signal that is held: encoding may take long, and changes nothing."""

    def encoding(batch: Tensor) -> Tensor:
        if INTERRUPTED.is_set():
            raise interruption()
        return frames(batch)

    return encoding
