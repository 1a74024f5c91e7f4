"""How good the models are on frames that are known: those after the split, or the clip's own last ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from nextframe.checkpoint import baseline_names, resolve_model
from nextframe.core.clip import Task
from nextframe.metrics.pixel import mse
from nextframe.models import MODELS
from nextframe.prediction import Asked, Prediction, stream
from nextframe.prediction.context import usual_context
from nextframe.prediction.past.trust import MOST, Trust
from nextframe.web.work.made import Made
from nextframe.web.work.plan import Job, Plan
from nextframe.web.work.verdict import Check

LONG = 30.0  # seconds of a prediction: what takes longer is not done again for the clip's own past


def checks(job: Job, plan: Plan, made: Sequence[Made]) -> list[Check]:
    """Return a check of each model, the first one's beside the baselines; none if too little is known of the clip."""
    known = made if plan.known else _past(job, plan, made)
    found = [_checked(one, job, plan) for one in known]
    return [replace(check, others=_others(known[0], job)) if n == 0 else check for n, check in enumerate(found)]


def _past(job: Job, plan: Plan, made: Sequence[Made]) -> list[Made]:
    """Let the models predict the clip's own last frames, as many for each; none if that is too long, or it too short.

    Each has as many frames before them as it is used to.
    """
    steps = min(plan.frames, MOST, plan.count - max(_needed(one) for one in made))
    if steps < 1 or sum(one.seconds for one in made) > LONG:
        return []
    back = replace(plan, at=plan.count - steps, frames=steps, known=True)
    alone = job.model_copy(update={"samples": 1})
    return [Made.by(one.name, one.net, alone, back) for one in made]


def _needed(one: Made) -> int:
    usual = usual_context(one.net, None)
    return min(usual, one.net.capabilities.reads or usual)


def _checked(one: Made, job: Job, plan: Plan) -> Check:
    truth, before = _truth(one.prediction), _before(one.prediction, job.one_step)
    errors = (_errors(frames, truth) for frames in (one.prediction.frames, before))
    return Check(Trust(job.name, one.name, plan.frames, *errors), past=not plan.known, one_step=job.one_step)


def _truth(prediction: Prediction) -> Tensor:
    assert prediction.truth is not None  # it is asked for
    return prediction.truth


def _before(prediction: Prediction, one_step: bool) -> Tensor:
    """Return the last known frame before each predicted one: the last of the context, unless each has its own."""
    truth, last = _truth(prediction), prediction.context[-1:]
    return torch.cat([last, truth[:-1]]) if one_step else last.expand_as(truth)


def _errors(frames: Tensor, truth: Tensor) -> tuple[float, ...]:
    return tuple(mse(frames, truth).tolist())


def _others(one: Made, job: Job) -> dict[str, tuple[float, ...]]:
    """Return the errors of the baselines on what the model was given; the last frame and the model itself are not."""
    given, truth = one.prediction.context, _truth(one.prediction)
    names = [
        name for name in baseline_names(Task.forecast(1, 1)) if name != one.name and not MODELS.get(name).reference
    ]
    asked = Asked(compare=True, context=len(given), one_step=job.one_step, layout="TCHW", limits=job.limits.reading())
    nets = {name: net for name in names if (net := resolve_model(name)).capabilities.min_context <= len(given)}
    clip = torch.cat([given, truth])
    made = {name: Prediction.of(stream(clip, net, len(truth), asked)) for name, net in nets.items()}
    return {name: _errors(prediction.frames, truth) for name, prediction in made.items()}
