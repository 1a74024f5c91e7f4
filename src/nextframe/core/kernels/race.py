"""A race: ways to compute the same thing take turns, and the fastest is named."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

MARGIN = 0.05  # by so much of the plain one's time another has to win
ROUNDS = 7  # at most
ENOUGH = 0.1  # seconds after which no further round begins, once there were two
HOPELESS = 4.0  # times the plain one's: what takes so long in the warm-up does not run again

Ways = Mapping[str, Callable[[], object]]
Clock = Callable[[], float]


def working_time() -> float:
    """Return the seconds that this thread has worked or waited for its helpers: other programs do not count.

    Where the system counts too coarsely it is the time of the day, as on Windows.
    """
    fine = time.get_clock_info("thread_time").resolution < 1e-5
    return time.thread_time() if fine else time.perf_counter()


def example(*shape: int) -> Tensor:
    """Return values of `shape` from -1 to 1 to measure with; they take nothing from random generators."""
    return torch.linspace(-1, 1, math.prod(shape)).view(shape)


def race(ways: Ways, clock: Clock = working_time) -> dict[str, float]:
    """Return the shortest time of each way, in seconds, after a warm-up and several rounds in which they take turns.

    Args:
        ways: what is to be measured, by name; the plain one is the first.
        clock: returns the time in seconds.
    """
    times = {name: _timed(way, clock) for name, way in ways.items()}
    plain = next(iter(times))
    running = [name for name in times if times[name] <= HOPELESS * times[plain]]
    for name in running:
        times[name] = _timed(ways[name], clock)
    spent, rounds = sum(times[name] for name in running), 1
    while rounds < ROUNDS and (rounds < 2 or spent < ENOUGH):
        for name in running:
            again = _timed(ways[name], clock)
            spent += again
            times[name] = min(times[name], again)
        rounds += 1
    return times


def winner(times: Mapping[str, float]) -> str:
    """Return the name of the way to take: the first, the plain one, unless another wins by `MARGIN`."""
    plain, best = next(iter(times)), min(times, key=lambda name: times[name])
    return best if times[best] < (1 - MARGIN) * times[plain] else plain


def _timed(way: Callable[[], object], clock: Clock) -> float:
    began = clock()
    way()
    return clock() - began
