"""How good a prediction is, in words: the model on frames that are known, beside what needs no training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nextframe.metrics.pixel import CAP
from nextframe.prediction.past.trust import Trust

EQUAL = 0.05  # dB: what is rounded to no difference


@dataclass(frozen=True)
class Check:
    """Mean squared errors on frames that are known, of values in [0, 1], one for each step.

    `trust` has those of the model and of the last frame before them, `others` those of other baselines by name.
    `past`: they are the clip's own last frames; else those after the split. `one_step`: each was predicted from the
    true frames before it.
    """

    trust: Trust
    others: Mapping[str, Sequence[float]] = field(default_factory=dict)
    past: bool = False
    one_step: bool = False

    @property
    def where(self) -> str:
        """Which frames they are, in words."""
        frames = f"{self.trust.steps} frames" if self.trust.steps > 1 else "frame"
        return f"this clip's own last {frames}" if self.past else f"the {frames} after the split"


def decibels(errors: Sequence[float]) -> float:
    """Return the PSNR of mean squared errors, of values in [0, 1]: 10 log10(1 / error), at most 60 dB, their mean."""
    return sum(min(CAP, -10 * math.log10(error)) if error > 0 else CAP for error in errors) / len(errors)


def verdict(check: Check, *, where: bool = True) -> str:
    """Return what a check says of its model: how much better it is than what needs no training, and how long.

    `where`: say on which frames.
    """
    trust = check.trust
    own, last = decibels(trust.predicted), "the frame before each" if check.one_step else "the last frame"
    line = f"{trust.model} is {than(own - decibels(trust.repeated))} repeating {last}"
    line += f" on {check.where}" if where else ""
    if check.others:
        best = max(check.others, key=lambda name: decibels(check.others[name]))
        line += f", and {than(own - decibels(check.others[best]))} {best}"
    return f"{line}. {_how_far(check)}"


def than(gain: float) -> str:
    """Return a difference in dB as the words before what is compared."""
    if abs(gain) < EQUAL:
        return "as good as"
    return f"{abs(gain):.1f} dB {'better' if gain > 0 else 'worse'} than"


def _how_far(check: Check) -> str:
    until, steps = check.trust.better_until, check.trust.steps
    if until == 0:
        return "Do not trust it here: repeating a frame is nearer to the truth from the first frame on."
    frames = f"{until} frames" if until > 1 else "one frame"
    if until < steps:
        return f"Trust about {frames}: after that, repeating a frame is at least as near to the truth."
    if check.past and steps < check.trust.asked:
        return f"Trust about {frames}: more could not be tried on this clip."
    return f"Trust all {frames}: each is nearer to the truth." if until > 1 else "Trust it: it is nearer to the truth."
