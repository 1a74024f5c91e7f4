"""Training batches as a pure function of (seed, step): the same for any number of workers or processes."""

from __future__ import annotations

import atexit
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import active_children
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import ensure_running
from typing import Any

from torch.utils.data import DataLoader, Dataset

from nextframe.core.clip import Clip
from nextframe.core.errors import NextframeError, UserError
from nextframe.data import ClipSet
from nextframe.data.clipset import Indices, Split, batch_indices
from nextframe.data.order import Balance, order_of
from nextframe.training.parallel.processes import STOPPING


@dataclass(frozen=True)
class Mistake:
    """An error of a worker process, in words."""

    line: str
    exit_code: int

    def error(self) -> NextframeError:
        """Return it as an error of this process."""
        return UserError(self.line) if self.exit_code == UserError.exit_code else NextframeError(self.line)


class _Guarded(Dataset["Clip | Mistake"]):
    """Steps, read in a worker process."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps

    def __getitem__(self, step: int) -> Clip | Mistake:
        return self.steps.or_mistake(step)


class Steps(Dataset[Clip]):
    """Item s is the batch of training step s, or this process's share of it."""

    def __init__(
        self,
        clips: ClipSet,
        split: Split,
        seed: int,
        size: int,
        rank: int = 0,
        world: int = 1,
        balance: Balance = "clips",
    ) -> None:
        if size % world:
            raise UserError(f"batch {size} cannot be shared evenly by {world} processes")
        self.clips, self.split, self.seed, self.size = clips, split, seed, size
        self.rank, self.world = rank, world
        self.order = order_of(balance, clips, split, seed)

    def __getitem__(self, step: int) -> Clip:
        return self.clips.read(self.split, self._indices(step)[self.rank :: self.world])

    def or_mistake(self, step: int) -> Clip | Mistake:
        """Return the item, or why it cannot be read: an error's own kind is lost between processes."""
        try:
            return self[step]
        except NextframeError as error:
            return Mistake(str(error), error.exit_code)

    def _indices(self, step: int) -> Indices:
        if self.order is not None:
            return self.order.indices(step, self.size)
        return batch_indices(self.clips, self.split, self.seed, step, self.size)


def training_batches(steps: Steps, first: int, last: int, workers: int = 0, *, pinned: bool = False) -> Iterator[Clip]:
    """Yield the uint8 batches of steps first..last-1 in order, read ahead by `workers` processes (0: none).

    `pinned` ones lie where a GPU can fetch them while the processor goes on.
    """
    loader: DataLoader[Any] = DataLoader(
        _Guarded(steps) if workers else steps,
        batch_size=None,
        sampler=range(first, last),
        num_workers=workers,
        pin_memory=pinned,
        # a forked worker inherits locks of OpenCV's and FFmpeg's threads, held for ever: it hangs now and then
        multiprocessing_context="spawn" if workers else None,
        prefetch_factor=4 if workers else None,
    )
    if not workers:
        return map(_clip, loader)
    others = set(active_children())
    with _no_signals():
        batches = iter(loader)
    # after torch's own handler, so that it comes before it: at its SIGTERM, which they block, they would stay
    atexit.register(_end, set(active_children()) - others)
    return map(_clip, batches)


def _end(workers: set[BaseProcess]) -> None:
    """End what the program leaves behind: without this it would wait for them for ever."""
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's handler calls a worker that is killed an error
    for worker in workers:
        worker.kill()


def _clip(item: Clip | Mistake) -> Clip:
    if isinstance(item, Mistake):
        raise item.error()
    return item


@contextmanager
def explained_deaths(advice: str) -> Iterator[None]:
    """Raise a NextframeError, which ends with `advice`, if a process that reads clips dies in the block."""
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        how = re.search(r"killed by signal: \w+|exit code \d+", f"{error} {error.__cause__}")
        why = f"{how[0]}, as when memory runs out" if how else "as when memory runs out"
        less = "use fewer of them (--set training.workers=N) or smaller batches"
        raise NextframeError(f"a process that reads clips died ({why}): {less}; {advice}") from None


@contextmanager
def _no_signals() -> Iterator[None]:
    """Keep Ctrl-C and SIGTERM from processes that are started in the block: what reads clips ends with the run.

    They reach all processes of a terminal or a job, and without clips the step under way could not be ended.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ensure_running()  # else the first process that is started opens what is closed here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
