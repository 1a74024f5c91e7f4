"""Seconds of several sides that take turns, so that a machine that changes its pace changes it for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """What several runs of one thing took, in the order in which they were made."""

    runs: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one, or the mean of the two in the middle."""
        return median(self.runs)

    def facts(self) -> dict[str, object]:
        """Return {"min", "median", "max", "n", "runs"}, plain JSON values."""
        ends = {"min": min(self.runs), "median": self.median, "max": max(self.runs)}
        return {**ends, "n": len(self.runs), "runs": list(self.runs)}


def seconds_of(work: Callable[[], object], clock: Callable[[], float], least: float = 0.0) -> float:
    """Return the seconds of one call of `work`: a mean over as many calls as last `least` seconds, at least one."""
    calls, began = 0, clock()
    while True:
        work()
        calls += 1
        spent = clock() - began
        if spent >= least:
            return spent / calls


def in_turn(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Spread]:
    """Return what each side took in `rounds` rounds: a, b, a, b, and so on; a round before them does not count.

    Args:
        sides: by name, a function that works once and returns the seconds that it took.
        rounds: how many runs of each are kept, at least 1.
    """
    for side in sides.values():
        side()
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(side())
    return {name: Spread(tuple(runs)) for name, runs in found.items()}


def times_as_fast(ours: Spread, other: Spread) -> float:
    """Return how many times as fast ours is as the other: the other's median by ours."""
    return other.median / ours.median


def furthest(ours: Sequence[float], other: Sequence[float]) -> float:
    """Return the largest relative difference of two loss curves, by the larger loss of each step; 0 for none."""
    pairs = zip(ours, other, strict=True)
    return max((abs(a - b) / max(abs(a), abs(b), 1e-30) for a, b in pairs), default=0.0)
