"""Learning-rate schedules as pure functions of the part of the budget that is spent."""

from __future__ import annotations

import math
from collections.abc import Callable

from nextframe.core.registry import Registry, takes


def onecycle(progress: float, warmup: float = 0.1) -> float:
    """Return the factor of Smith & Topin's one-cycle policy: cosine up from 1/25, then cosine down to 1e-4 / 25.

    Args:
        progress: the spent part of the budget, in [0, 1].
        warmup: the part in which the rate rises.
    """
    low, final = 1 / 25, 1e-4 / 25
    if progress < warmup:
        return low + (1 - low) * (1 - math.cos(math.pi * progress / warmup)) / 2
    done = (progress - warmup) / (1 - warmup)
    return final + (1 - final) * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def cosine(progress: float, warmup: float = 0.1) -> float:
    """Return a linear rise over `warmup`, then half a cosine down to 0."""
    if progress < warmup:
        return progress / warmup
    done = (progress - warmup) / (1 - warmup)
    return (1 + math.cos(math.pi * min(done, 1.0))) / 2


COOLDOWN = 0.6  # the part of a budget in which `trapezoid` falls


def trapezoid(progress: float, warmup: float = 0.03) -> float:
    """Return a linear rise over `warmup`, 1 until 0.4 of the budget, then a straight fall to 0 at its end.

    The "warm-up, stable, decay" of Hu et al. 2024, arXiv 2404.06395, with a long fall: it is annealing that short runs
    miss, not steps.
    """
    if progress < warmup:
        return progress / warmup
    return min(1.0, max(0.0, (1 - progress) / COOLDOWN))


def constant(progress: float, warmup: float = 0.0) -> float:
    """Return 1 at any progress; `plateau` starts from it and multiplies its own cuts."""
    return 1.0


Schedule = Callable[[float, float], float]  # the factor of the rate after a part of the budget, of that the warmup
SCHEDULES: Registry[Schedule] = Registry(
    "schedule", "nextframe.schedules", "a function of (progress, warmup)", lambda name, thing: takes(thing, 2)
)
_BUILT_IN: dict[str, Schedule] = {
    "onecycle": onecycle,
    "cosine": cosine,
    "trapezoid": trapezoid,
    "constant": constant,
    "plateau": constant,
}
for _name, _schedule in _BUILT_IN.items():
    SCHEDULES.add(_name, _schedule)


class Patience:
    """Counts validations without improvement: `update` says whether `patience` of them have passed in a row."""

    def __init__(self, patience: int, threshold: float = 0.0) -> None:
        self.patience, self.threshold = (
            patience,
            threshold,
        )  # smaller improvements than `threshold` do not count
        self.best, self.bad = math.inf, 0

    def update(self, value: float) -> bool:
        """Take the newest `value` (lower is better); return True, and start counting again, when patience runs out."""
        if value < self.best - self.threshold:
            self.best, self.bad = value, 0
            return False
        self.bad += 1
        if self.bad < max(self.patience, 1):
            return False
        self.bad = 0
        return True

    def state_dict(self) -> dict[str, float]:
        """Return what a resumed run needs."""
        return {"best": self.best, "bad": self.bad}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over what `state_dict` returned."""
        self.best, self.bad = state["best"], int(state["bad"])
