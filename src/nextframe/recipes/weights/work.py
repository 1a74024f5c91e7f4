"""One call of the command: goes on from what OUT holds, trains for its budget, keeps what validates best."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from nextframe.checkpoint import create_model, load_model, save_model
from nextframe.checkpoint.folder import read_config
from nextframe.core.device import resolve_device
from nextframe.core.errors import BadInputError
from nextframe.core.files.cache import keep_compiled
from nextframe.core.files.whole_file import check_folder, write_whole
from nextframe.evaluation.run_facts import run_facts
from nextframe.models.contract import Predictor, TrainedTask
from nextframe.recipes.weights.asked import SCRATCH, SHIPS, Asked, origin, starting_model, where_to_start
from nextframe.recipes.weights.card import MODEL, RESULTS, write_card
from nextframe.recipes.weights.feed import Feed
from nextframe.recipes.weights.loop import Loop
from nextframe.recipes.weights.material import Material, find, read_list
from nextframe.recipes.weights.measure import DEFINITION, Score, measure
from nextframe.recipes.weights.plans import Pace, Plan
from nextframe.training.budget import Span
from nextframe.training.folder.checkpoints import load_state, save_state
from nextframe.training.parallel.processes import INTERRUPTED, held_interrupts
from nextframe.training.recipe import TrainingConfig

LOG = logging.getLogger(__name__)
CHECKPOINTS, LINES = "checkpoints", "log.jsonl"
LAST = "last"  # the newest weights, better or not: those that ship may have been trained on what validates
WARMUP, CLIP = 0.05, 1.0
TELL_EVERY = 60.0  # seconds


def train_weights(plan: Plan, asked: Asked) -> dict[str, Any]:
    """Train for the budget of one call, and return the results, which are written to OUT with a card.

    OUT gets model/ (the best weights so far by validation, in half precision), last/ (the newest), checkpoints/ (all
    that a later call needs to go on), results.json, README.md and log.jsonl.

    Raises:
        UserError: the material is absent or differs from its list, OUT holds something else, or no such device.
    """
    started = time.monotonic()
    device = resolve_device(asked.device)
    material = find(asked.data, read_list(asked.listed or plan.listed))
    call = Call(plan, asked, device, material, _stored(asked, material))
    with held_interrupts(several=False):
        call.train(INTERRUPTED.is_set)
    return call.finish(started, stopped=INTERRUPTED.is_set())


def _stored(asked: Asked, material: Material) -> dict[str, Any] | None:
    """Return the state in OUT that the call goes on from; None: a new folder."""
    check_folder(asked.out)
    state = load_state(asked.out / CHECKPOINTS)
    if state is None:
        if asked.out.is_dir() and any(asked.out.iterdir()):
            raise BadInputError(asked.out, "holds other things", "give a new folder as OUT")
        return None
    if asked.start is not None:
        raise BadInputError(asked.out, "has a state to go on from", "omit START, or give a new folder as OUT")
    if state["record"]["files"] != dict(material.used):
        raise BadInputError(asked.out, "was trained on other files", "give the same MOTION_DATA, or another OUT")
    return state


class Call:
    """What a call works with: the model in training, a copy that is validated, and the record of all calls."""

    def __init__(
        self, plan: Plan, asked: Asked, device: str, material: Material, state: Mapping[str, Any] | None
    ) -> None:
        self.plan, self.asked, self.device, self.material = plan, asked, device, material
        self.pace, start = plan.pace(device), where_to_start(asked, device)
        if state is None:
            model = starting_model(asked, plan.model, start).to(device)
        else:
            model = create_model(plan.model, **state["record"]["config"]).to(device)
        prepare(plan, model, device, asked.compile)
        self.viewer = create_model(plan.model, **model.config.model_dump()).to(device).eval()
        rate = self.pace.rate(start == SCRATCH, state is not None)
        self.config = training_config(asked, self.pace, device, rate)
        data = plan.open(material, self.pace.side)
        self.clips = data.validation()
        feed = Feed(data.sets, plan.turns, self.pace.batch, asked.seed, device)
        self.loop = Loop(model, feed, self.config, self.pace.accumulate, trained=start != SCRATCH)
        self.record: dict[str, Any] = self._new_record(model, start) if state is None else state["record"]
        if state is not None:
            self.loop.load_state_dict(state["loop"])
        self.first_step, self.began = self.loop.step, time.monotonic()

    def _new_record(self, model: Predictor, start: str) -> dict[str, Any]:
        """Return the record of a new folder, with what the weights that ship reach on the validation clips."""
        shipped = self.asked.shipped
        return {
            "config": model.config.model_dump(mode="json"),
            "start": origin(self.asked, start),
            "files": dict(self.material.used),
            "before": None if shipped is None else self._measured(load_model(shipped)).plain(),
            "best": None,
            "calls": [],
            "lines": [],
        }

    def _measured(self, model: Predictor) -> Score:
        return measure(model.to(self.device), self.clips, self.plan.judged, self.device)

    def train(self, stop: Callable[[], bool]) -> None:
        """Train for the budget; validate now and then, and at the end."""
        start, before = self.record["start"]["from"], self.record["before"]
        if self.record["best"] is None and start != SCRATCH:
            self.validate(Score(**before) if start == SHIPS else None)
        minutes = self.config.minutes
        span = Span(self.config.steps, None if minutes is None else 60 * minutes)
        self.began = time.monotonic()
        told, validated = Every(TELL_EVERY), Every(self.pace.validate_every)

        def progress() -> float:
            return span.progress(self.loop.step - self.first_step, time.monotonic() - self.began)

        def after_step() -> bool:
            if told.due():
                LOG.info("step %d, %.0f %% of this call, rate %.2g", self.loop.step, 100 * progress(), self.loop.rate)
            if validated.due():
                self.validate()
            return stop()

        self.loop.train(progress, after_step)
        self.loop.feed.close()
        self.validate()

    def validate(self, known: Score | None = None) -> None:
        """Measure the averaged weights, keep them if they are the best so far, and store the state.

        Args:
            known: what they reach, if that has been measured.
        """
        self.viewer.load_state_dict(self.loop.averaged_half())
        score, best = known or self._measured(self.viewer), self.record["best"]
        improved = best is None or score.mean > best["score"]["mean"]
        if improved:
            self.record["best"] = {"step": self.loop.step, "score": score.plain()}
            self._save_model(MODEL)
        self._save_model(LAST)
        spent = {"step": self.loop.step, "seconds": round(time.monotonic() - self.began, 1), "rate": self.loop.rate}
        self._log(spent | {"loss": self.loop.loss(), "best": improved, **score.plain()})
        self._save_state()

    def _log(self, line: dict[str, Any]) -> None:
        self.record["lines"].append(line)
        write_whole(self.asked.out / LINES, "".join(json.dumps(one) + "\n" for one in self.record["lines"]))
        psnr, held = (", ".join(f"{value:.3f}" for value in line[name]) for name in ("psnr", "held_psnr"))
        mark = ", the best so far" if line["best"] else ""
        LOG.info("step %d: validation %.3f dB (%s; held %s)%s", line["step"], line["mean"], psnr, held, mark)

    def _save_state(self) -> None:
        save_state(self.asked.out / CHECKPOINTS, {"loop": self.loop.state_dict(), "record": self.record})

    def _save_model(self, name: str) -> None:
        context, horizon = self.plan.task.context, self.plan.task.horizon
        task = TrainedTask(context=context, horizon=horizon, data=self.plan.data, sources=self.plan.sources)
        runs = [*self.record["start"]["runs"], *self.record["calls"], self._facts()]
        training = {"runs": [run for run in runs if run["steps"]], "licence": self.plan.licence}
        save_model(self.viewer, self.asked.out / name, task=task, training=training, half=True)

    def _facts(self) -> dict[str, Any]:
        """Return what this call has done so far."""
        pace, config = self.pace, self.config
        facts = {
            "steps": self.loop.step - self.first_step,
            "batch": pace.batch * pace.accumulate,
            "crop": pace.side,
            "optimizer": self.loop.objective.optimizer.name,
            "lr": config.lr,
            "ema": config.ema,
            "precision": config.precision,
        }
        return facts | run_facts(self.asked.command(), config.seed, self.began)

    def finish(self, started: float, *, stopped: bool) -> dict[str, Any]:
        """Store the state, write results.json and the card, and return the results."""
        whole = {"stopped": stopped, "whole_seconds": round(time.monotonic() - started, 1)}
        self.record["calls"].append(self._facts() | whole)
        self._save_state()
        results = self._results()
        write_whole(self.asked.out / RESULTS, json.dumps(results, indent=1) + "\n")
        write_card(self.plan, self.asked.out)
        return results

    def _results(self) -> dict[str, Any]:
        record, before, best = self.record, self.record["before"], self.record["best"]
        return {
            "weights": self.asked.name,
            "model": self.plan.model,
            "parameters": sum(parameter.numel() for parameter in self.viewer.parameters()),
            "weights_sha256": read_config(self.asked.out / MODEL)["weights_sha256"],
            "start": {name: value for name, value in record["start"].items() if name != "runs"},
            "calls": record["calls"],
            "validation": {
                "definition": DEFINITION,
                "clips": {one.source: len(one.frames) for one in self.clips},
                "before": before,
                "after": best["score"],
                "step": best["step"],
                "improved": before is None or best["score"]["mean"] > before["mean"],
            },
            "data": self.material.facts(),
        }


class Every:
    """Says when a number of seconds have passed since it last said so."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.last = seconds, time.monotonic()

    def due(self) -> bool:
        """Return whether it is time, and start to wait again if it is."""
        if time.monotonic() - self.last < self.seconds:
            return False
        self.last = time.monotonic()
        return True


def training_config(asked: Asked, pace: Pace, device: str, rate: float) -> TrainingConfig:
    """Return the settings of a call whose highest rate is `rate`, unless another was asked for."""
    return TrainingConfig(
        steps=asked.steps,
        minutes=asked.minutes,
        batch=pace.batch,
        seed=asked.seed,
        lr=asked.lr or rate,
        schedule="cosine",
        warmup=WARMUP,
        grad_clip=CLIP,
        ema=pace.ema,
        precision="bf16" if device == "cuda" else "32",
    )


def prepare(plan: Plan, model: Predictor, device: str, compiled: bool) -> None:
    """Make a model fast on a GPU: its layout, the choice of kernels, and compiled parts."""
    if device != "cuda":
        return
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    torch.backends.cudnn.benchmark = True
    torch._dynamo.config.recompile_limit = 32  # each part has a graph for frames with a gradient, and one for others
    keep_compiled()
    for part in plan.compiled(model) if compiled else ():
        part.compile(dynamic=False)
