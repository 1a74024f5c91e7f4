"""A run's budget of steps or minutes, shared between the stages that are left to train."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from nextframe.core.errors import UnknownNameError, UserError
from nextframe.models.contract import Predictor, Stage
from nextframe.training.parts import left_to_train
from nextframe.training.recipe import TrainingConfig


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
    """Share the budget of `config` between `stages` by their shares; steps add up to the whole budget.

    Raises:
        UserError: a stage would have no step.
    """
    total = sum(stage.share for stage in stages)
    if config.minutes is not None:
        return [Span(None, config.minutes * 60 * stage.share / total) for stage in stages]
    assert config.steps is not None
    edges, done = [0], 0.0
    for stage in stages:
        done += stage.share
        edges.append(round(config.steps * done / total))
    parts = [Span(end - start, None) for start, end in itertools.pairwise(edges)]
    for stage, part in zip(stages, parts, strict=True):
        if not part.steps:
            names = ", ".join(stage.name for stage in stages)
            raise UserError(
                f"training.steps={config.steps} is too few for the stages {names}: '{stage.name}' would have none; "
                "raise the steps, or its share in training.shares"
            )
    return parts


def planned_stages(model: Predictor, config: TrainingConfig) -> list[Stage]:
    """Return the stages that are to be trained, with the shares that `config` gives them: none whose share is 0.

    Raises:
        UserError: there is none, or a share or an order is for a stage that the model does not have.
    """
    stages = model.stages()
    if not stages:
        raise UserError("this model has nothing to train: it is a baseline, or all its weights are frozen")
    for name in (*config.shares, *config.in_order):
        if name not in (names := [stage.name for stage in stages]):
            raise UnknownNameError("stage", name, names)
    left = left_to_train(stages, config.stage_from)
    if not left:
        raise UserError("every stage is taken from another run: nothing is left to train")
    shared = [replace(stage, share=config.shares.get(stage.name, stage.share)) for stage in left]
    planned = [stage for stage in shared if stage.share > 0]
    if not planned:
        raise UserError(f"training.shares gives every stage 0: {', '.join(stage.name for stage in left)}; raise one")
    return planned
