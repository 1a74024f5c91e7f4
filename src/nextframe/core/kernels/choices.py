"""Which kernel computes what: chosen by a race at first use, or as a run decided before.

Outside of runs a race is held at once. In a run the first step computes as the constants say, and what it used is
raced between two steps (`Choices.settle`): the first process decides for all at one place, and what a run has decided
is in its checkpoint.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from nextframe.core.errors import UserError
from nextframe.core.kernels.kept import keep, read_kept
from nextframe.core.kernels.race import Clock, Ways, race, winner, working_time

LOG = logging.getLogger(__name__)
VARIABLE, FIXED = "NEXTFRAME_KERNELS", "fixed"


class Choices:
    """Choices by the text that says what is computed; `made` are those of one run, or of this process."""

    def __init__(
        self, *, races: bool = True, at_once: bool = True, clock: Clock = working_time, keeps: bool = True
    ) -> None:
        """Start without choices.

        Args:
            races: whether anything is measured; else all is as the constants say.
            at_once: whether a race is held at first use, or in the next `settle`.
            clock: what a race is measured by.
            keeps: whether choices are read from and written to the cache folder.
        """
        self.races, self.at_once, self.clock, self.keeps = races, at_once, clock, keeps
        self.made: dict[str, str] = {}
        self._waiting: dict[str, tuple[Sequence[str], Callable[[], Ways]]] = {}
        self._kept: dict[str, str] | None = None  # what the cache folder has, once it was read
        self._lock = threading.Lock()

    def pick(self, what: str, names: Sequence[str], fixed: str, ways: Callable[[], Ways]) -> str:
        """Return which of `names` computes `what`.

        Args:
            what: the operation, its shape, dtype and threads; choices are kept by it.
            names: of the kernels that there are for it, the plain one first.
            fixed: which the constants say.
            ways: makes what a race is between, by name and in the order of `names`. It is kept until the race, so it
                holds no tensors.
        """
        chosen = self.made.get(what)
        if chosen in names:
            return str(chosen)
        if not self.races or fixed_everywhere():
            return fixed
        if self.at_once:
            with self._lock:  # threads do not disturb each other's races
                return self._decide(what, names, ways)
        self._waiting.setdefault(what, (names, ways))
        return fixed

    def settle(self, first: bool, share: Callable[[dict[str, str]], dict[str, str]]) -> None:
        """Race what was first used since the last call, in the first process, and take its choices in all of them.

        Args:
            first: whether this is the process that decides.
            share: returns what the first process gives to it.
        """
        if not self.races:
            return
        waiting, self._waiting = self._waiting, {}
        if first:
            for what, (names, ways) in waiting.items():
                self._decide(what, names, ways)
        self.made = share(self.made)

    def _decide(self, what: str, names: Sequence[str], ways: Callable[[], Ways]) -> str:
        """Choose as is kept, or by a race."""
        if self._kept is None:
            self._kept = read_kept() if self.keeps else {}
        chosen = self._kept.get(what, "")
        if chosen in names:
            LOG.debug("kernel of %s: %s, as it was measured before", what, chosen)
        else:
            chosen = self._raced(what, ways())
        self.made[what] = chosen
        return chosen

    def _raced(self, what: str, ways: Ways) -> str:
        times = race(ways, self.clock)
        chosen = winner(times)
        LOG.debug("kernel of %s: %s of %s", what, chosen, ", ".join(f"{n} {1000 * t:.3g} ms" for n, t in times.items()))
        if self.keeps:
            keep({what: chosen})
        return chosen


def fixed_everywhere() -> bool:
    """Whether $NEXTFRAME_KERNELS is "fixed": then nothing is raced, whatever a recipe says.

    Raises:
        UserError: it is anything else.
    """
    value = os.environ.get(VARIABLE)
    if value not in (None, "", FIXED):
        raise UserError(f"${VARIABLE} is '{value}': it may be '{FIXED}', or not be set")
    return value == FIXED


_PROCESS = Choices()
_CURRENT: ContextVar[Choices] = ContextVar("choices", default=_PROCESS)


def current() -> Choices:
    """Return the choices that hold here: those of a run, or of this process."""
    return _CURRENT.get()


@contextmanager
def using(choices: Choices) -> Iterator[None]:
    """Let `choices` hold in the block."""
    before = _CURRENT.set(choices)
    try:
        yield
    finally:
        _CURRENT.reset(before)
