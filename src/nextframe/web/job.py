"""One prediction of the app, as it runs in a worker: a clip in, images and numbers out."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from nextframe.core.config import Config
from nextframe.core.errors import BadInputError, NextframeError, UserError
from nextframe.web.limits import WebLimits

if TYPE_CHECKING:
    from nextframe.media.source import Source
    from nextframe.models.contract import Predictor
    from nextframe.prediction import Prediction

Tell = Callable[[str], None]
STAGES = ("reading", "predicting", "drawing")
CONTEXT_SHOWN = 5  # context frames of the strip


class Job(Config):
    """A visitor's request; the server has checked its paths."""

    clip: str
    name: str  # the visitor's name of the clip
    model: str  # what `resolve_model` takes
    model_name: str
    frames: int = Field(10, ge=1)
    split: float = Field(0.5, ge=0, le=1)
    one_step: bool = False
    samples: int = Field(1, ge=1)
    side: int = Field(256, ge=16)
    folder: str  # where results go
    limits: WebLimits = WebLimits()


def run_job(job: Job, net: Predictor, tell: Tell) -> dict[str, Any]:
    """Predict, draw, and return plain values for the page; `tell` is called with each of `STAGES` as it begins.

    Raises:
        UserError: a clip or request that cannot be served; the line contains no path of the server.
    """
    try:
        with _warnings() as notes:
            return _run(job, net, tell, notes)
    except BadInputError as error:
        raise UserError("; ".join(filter(None, (error.what, error.fix))).replace(job.clip, job.name)) from None
    except NextframeError as error:
        raise UserError(str(error).replace(job.clip, job.name)) from None


def _run(job: Job, net: Predictor, tell: Tell, notes: list[str]) -> dict[str, Any]:
    from nextframe.media.reader import open_source
    from nextframe.prediction import predict

    tell("reading")
    source = open_source(job.clip, limits=job.limits.reading())
    count = source.counted()
    plan = _plan(job, source, count, net.capabilities.stochastic)
    tell("predicting")
    prediction = predict(
        job.clip,
        net,
        plan.frames,
        samples=plan.samples,
        compare=plan.known,
        at=plan.at,
        size=plan.size,
        one_step=job.one_step,
        limits=job.limits.reading(),
    )
    tell("drawing")
    return _draw(prediction, job) | {
        "facts": _facts(job, source, prediction, count, plan.at),
        "notes": [*(note.replace(Path(job.clip).name, job.name) for note in notes), *_shortened(job, plan)],
        "command": _command(job, plan),
    }


@dataclass(frozen=True)
class Plan:
    """What is predicted: `frames` frames from number `at` on, whose truth is `known`, at `size` (None: the clip's)."""

    at: int
    frames: int
    known: bool
    samples: int
    size: tuple[int, int] | None


def _plan(job: Job, source: Source, count: int, stochastic: bool) -> Plan:
    at = min(max(1, round(job.split * count)), count)
    known = count - at
    if job.one_step and known == 0:
        raise UserError("one step at a time needs frames after the split: choose an earlier split")
    frames = min(job.frames, known) if known else job.frames
    return Plan(at, frames, known > 0, job.samples if stochastic else 1, _size(source, job.side))


def _size(source: Source, side: int) -> tuple[int, int] | None:
    longest = max(source.height, source.width)
    if longest <= side:
        return None
    return max(1, round(source.height * side / longest)), max(1, round(source.width * side / longest))


def _shortened(job: Job, plan: Plan) -> list[str]:
    notes = []
    if plan.frames < job.frames:
        notes.append(f"The clip has {plan.frames} frames after the split, so {plan.frames} are predicted.")
    if plan.samples < job.samples:
        notes.append(f"{job.model_name} is deterministic, so it has only one future.")
    return notes


def _command(job: Job, plan: Plan) -> str:
    """Return the command line that writes the same prediction.gif."""
    words = ["nextframe", "predict", job.name, "--model", job.model_name, "-n", str(plan.frames), "--at", str(plan.at)]
    words += ["--size", f"{plan.size[0]}x{plan.size[1]}"] if plan.size else []
    words += ["--samples", str(plan.samples)] if plan.samples > 1 else []
    words += ["--set", "predict.one_step=true"] if job.one_step else ["--compare"] if plan.known else []
    return shlex.join([*words, "--set", "predict.with_context=true", "-o", "prediction.gif"])


def _draw(prediction: Prediction, job: Job) -> dict[str, Any]:
    """Write the images; return their names, and the error of each step if the truth is known."""
    from nextframe.media.writer import write_video
    from nextframe.prediction import write_prediction
    from nextframe.prediction.panels import comparison_frames, comparison_strip
    from nextframe.web.difference import difference_animation, step_errors

    folder, fps = Path(job.folder), min(prediction.fps, 12.0)  # slow enough to follow
    names = [job.model_name, *(f"{job.model_name} {n}" for n in range(2, len(prediction.samples) + 1))]
    futures = dict(zip(names, prediction.samples, strict=True))
    write_prediction(prediction, folder / "prediction.gif", with_context=True)
    write_prediction(prediction, folder / "prediction.mp4", with_context=True)
    write_video(folder / "loop.gif", comparison_frames(prediction.context, prediction.truth, futures), fps)
    strip = comparison_strip(prediction.context[-CONTEXT_SHOWN:], prediction.truth, futures)
    write_video(folder / "strip.png", strip.unsqueeze(0))
    if prediction.truth is None:
        return {"files": ["loop.gif", "strip.png"], "errors": {}}
    write_video(folder / "difference.gif", difference_animation(prediction.truth, prediction.frames), fps)
    return {
        "files": ["loop.gif", "strip.png", "difference.gif"],
        "errors": step_errors(prediction, job.model_name, one_step=job.one_step),
    }


def _facts(job: Job, source: Source, prediction: Prediction, count: int, at: int) -> dict[str, str]:
    height, width = prediction.context.shape[-2:]
    colours = "grey" if prediction.context.shape[1] == 1 else "colour"
    shown = f"{source.width} x {source.height}, {count} frames, {source.fps:.3g} frames/s"
    return {
        "clip": f"{job.name}: {shown}",
        "given": f"{len(prediction.context)} frames before frame {at}, {width} x {height}, {colours}",
        "predicted": f"{prediction.samples.shape[1]} frames by {job.model_name}",
    }


@contextmanager
def _warnings() -> Iterator[list[str]]:
    """Collect the warnings of the library while a prediction runs: they say what was stretched or skipped."""
    notes: list[str] = []

    class Collect(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.append(record.getMessage())

    handler, logger = Collect(logging.WARNING), logging.getLogger("nextframe")
    logger.addHandler(handler)
    try:
        yield notes
    finally:
        logger.removeHandler(handler)
