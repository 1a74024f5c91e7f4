"""One request of the app, as a worker does it: a clip in, images, numbers and words out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextframe.core.errors import BadInputError, NextframeError, UserError
from nextframe.web.work.plan import Job, Plan, command, python

if TYPE_CHECKING:
    from nextframe.media.source import Source
    from nextframe.models.contract import Predictor
    from nextframe.web.work.made import Made
    from nextframe.web.work.verdict import Check

Tell = Callable[[str], None]
STAGES = ("reading", "predicting", "comparing", "checking", "drawing")
REPEATED = "last frame repeated"  # what a prediction is measured against


def run_job(job: Job, nets: Mapping[str, Predictor], tell: Tell) -> dict[str, Any]:
    """Predict, measure, draw, and return plain values for the page.

    Args:
        job: what is asked.
        nets: the models of `job.models`, by name.
        tell: called with each of `STAGES` as it begins.

    Raises:
        UserError: a clip or request that cannot be served; the line contains no path of the server.
    """
    try:
        with _warnings() as notes:
            return _run(job, nets, tell, notes)
    except BadInputError as error:
        raise UserError("; ".join(filter(None, (error.what, error.fix))).replace(job.clip, job.name)) from None
    except NextframeError as error:
        raise UserError(str(error).replace(job.clip, job.name)) from None


def _run(job: Job, nets: Mapping[str, Predictor], tell: Tell, notes: list[str]) -> dict[str, Any]:
    from nextframe.media.reader import open_source
    from nextframe.web.work.check import checks
    from nextframe.web.work.draw import draw
    from nextframe.web.work.made import Made
    from nextframe.web.work.verdict import verdict

    tell("reading")
    source = open_source(job.clip, limits=job.limits.reading())
    plan = Plan.of(job, source, source.counted())
    made = []
    for stage, (name, net) in zip(("predicting", "comparing"), nets.items(), strict=False):
        tell(stage)
        made.append(Made.by(name, net, job, plan))
    tell("checking")
    said = list(notes)  # what follows predicts again, and would say it again
    found = checks(job, plan, made)
    tell("drawing")
    return draw(job, made) | {
        "facts": _facts(job, source, plan, made),
        "notes": [*_named(said, job), *_more(job, plan, made)],
        "verdicts": [verdict(check, where=number == 0) for number, check in enumerate(found)],
        "errors": _errors(found),
        "checked": found[0].where if found else "",
        "command": "\n".join(command(job, plan, one.how, number) for number, one in enumerate(made, 1)),
        "python": "import nextframe\n\n"
        + "\n".join(python(job, plan, one.how, number) for number, one in enumerate(made, 1)),
    }


def _errors(found: list[Check]) -> dict[str, list[float]]:
    """Return the error of each step by the name of its line; the last frame's comes after the first model's."""
    lines = {}
    for check in found:
        lines[check.trust.model] = list(check.trust.predicted)
        if check.trust.predicted != check.trust.repeated:
            lines.setdefault(REPEATED, list(check.trust.repeated))
    return lines


def _facts(job: Job, source: Source, plan: Plan, made: list[Made]) -> dict[str, str]:
    height, width = made[0].prediction.context.shape[-2:]
    shown = f"{source.width} x {source.height}, {plan.count} frames, {source.fps:.3g} frames/s"
    given = ", ".join(f"{len(one.prediction.context)} frames to {one.name}" for one in made)
    took = ", ".join(f"by {one.name} in {one.took}" for one in made)
    return {
        "clip": f"{job.name}: {shown}",
        "given": f"{given}, up to frame {plan.at - 1}, at {width} x {height}",
        "predicted": f"{plan.frames} frames {took}",
    }


def _named(notes: list[str], job: Job) -> list[str]:
    """Return what was warned of, each line once, with the visitor's name of the clip."""
    return list(dict.fromkeys(note.replace(Path(job.clip).name, job.name) for note in notes))


def _more(job: Job, plan: Plan, made: list[Made]) -> list[str]:
    notes = [one.note for one in made if one.note]
    if plan.frames < job.frames:
        notes.append(f"The clip has {plan.frames} frames after the split, so {plan.frames} are predicted.")
    alike = [one.name for one in made if len(one.prediction.samples) < job.samples]
    if alike:
        notes.append(f"Always the same future, so one is shown: {', '.join(alike)}.")
    return notes


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
