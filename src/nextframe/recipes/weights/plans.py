"""How the weights of each name are trained: by a plan of their own (`Plan`), or as a recipe is (`RecipePlan`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import nn

from nextframe.core.clip import Task
from nextframe.core.registry import Registry
from nextframe.models.contract import Predictor
from nextframe.recipes.weights.by_recipe.plans import RecipePlan
from nextframe.recipes.weights.feed import Sets
from nextframe.recipes.weights.material import Material
from nextframe.recipes.weights.measure import Clips


@dataclass(frozen=True)
class Pace:
    """How weights are trained on one kind of device. Rates are the highest of a call; each call ends at 0."""

    batch: int  # clips at once
    accumulate: int  # batches of a step
    side: int  # pixels of the square clips
    scratch: float  # the rate from random weights
    tuned: float  # the rate from trained ones
    further: float  # the rate of a call that goes on
    ema: float  # the decay of the averaged weights, step by step
    validate_every: float  # seconds

    def rate(self, scratch: bool, goes_on: bool) -> float:
        """Return the highest rate of a call that starts from random weights, from trained ones, or goes on."""
        return self.further if goes_on else self.scratch if scratch else self.tuned


class Data(Protocol):
    """The opened material of a plan."""

    def sets(self, ahead: int) -> Sets:
        """Return the clip sets by name, with `ahead` target frames."""

    def validation(self) -> list[Clips]:
        """Return the clips that weights are chosen by."""


@dataclass(frozen=True)
class Plan:
    """What the weights of one name are, and how they come about."""

    model: str  # of the registry
    task: Task  # that they are trained for
    judged: Task  # that validation measures
    listed: Path  # the list of the files that they may be trained on
    turns: Sequence[str]  # whose turn each batch is
    paces: Mapping[str, Pace]  # for "cuda", and "cpu" for all other devices
    open: Callable[[Material, int], Data]  # reads the files; clips are squares of this many pixels
    compiled: Callable[[Predictor], Sequence[nn.Module]]  # what torch.compile is worth its time for, on CUDA
    licence: str
    data: str  # in words, for config.json
    sources: tuple[str, ...]  # texts in the names of the published videos among it: no test has them

    def pace(self, device: str) -> Pace:
        """Return how to train on `device`."""
        return self.paces.get(device, self.paces["cpu"])


PLANS: Registry[Plan | RecipePlan] = Registry("name of weights")
PLANS.add("motion", "nextframe.recipes.weights.motion:MOTION")
for _name in ("keras-convlstm", "mnist-latent", "composite-lstm", "multiscale-gan-small", "catz-mixture"):
    PLANS.add(_name, f"nextframe.recipes.weights.by_recipe.plans:{_name.upper().replace('-', '_')}")
PLANS.add("film-latent-small", "nextframe.recipes.weights.by_recipe.plans:FILM_LATENT_SMALL")
PLANS.add("ddpae", "nextframe.recipes.weights.by_recipe.plans:DDPAE")
PLANS.add("digits", "nextframe.recipes.weights.by_recipe.plans:DIGITS")
