"""The processes of a run: which this one is, what they add up, and what the first of them decides for all."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from types import FrameType
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

T = TypeVar("T")
LONG = timedelta(days=1)  # for the others to wait while the first writes; a dead process is noticed by other means


class Processes:
    """This process among those of a run. What is shared goes through the processors, so no GPU is waited for.

    Every method but `positions` is called by all processes at the same place.
    """

    def __init__(self, fabric: Any) -> None:
        self.rank, self.world = int(fabric.global_rank), int(fabric.world_size)
        self.interrupted = False  # by Ctrl-C, as all processes know it since the last `clock`

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and decides."""
        return self.rank == 0

    def positions(self, batch: int, device: torch.device) -> Tensor:
        """Return the places (n,) in a global batch of `batch` clips that this process's share has, in its order."""
        return torch.arange(self.rank, batch, self.world, device=device)

    def share(self, value: T) -> T:
        """Return what the first process has, on every process."""
        if self.world == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held, src=0, group=_control_group())
        return held[0]

    def clock(self, seconds: float) -> float:
        """Return the seconds that the first process counted, and learn whether it was interrupted."""
        self.interrupted = INTERRUPTED.is_set()
        if self.world == 1:
            return seconds
        told = torch.tensor([seconds, float(self.interrupted)], dtype=torch.float64)
        dist.broadcast(told, src=0, group=_control_group())
        self.interrupted = bool(told[1])
        return float(told[0])

    def total(self, values: Mapping[str, float]) -> dict[str, float]:
        """Return the sums of `values` over all processes, equal on all of them; all have the same names."""
        if self.world == 1 or not values:
            return dict(values)
        numbers = torch.tensor([float(values[name]) for name in sorted(values)], dtype=torch.float64)
        dist.all_reduce(numbers, group=_control_group())
        return dict(zip(sorted(values), numbers.tolist(), strict=True))

    def wait(self) -> None:
        """Return when all processes have come here."""
        if self.world > 1:
            dist.barrier(group=_control_group())

    def share_buffers(self, model: nn.Module) -> None:
        """Give every process the first one's buffers: statistics that a layer keeps of its own share alone."""
        if self.world > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, src=0)


@cache
def _control_group() -> dist.ProcessGroup:
    """Return the group of all processes on their processors; made once, by all at the same place."""
    group: dist.ProcessGroup = dist.new_group(backend="gloo", timeout=LONG)
    return group


INTERRUPTED = threading.Event()
STOPPING = (signal.SIGINT, signal.SIGTERM)  # Ctrl-C, and how SLURM, docker and service managers end a process


class Terminated(KeyboardInterrupt):  # not an error, as its base is not one
    """SIGTERM, acted on as Ctrl-C is."""

    exit_code = 128 + signal.SIGTERM


def interruption() -> KeyboardInterrupt:
    """Return what to raise for the signal that was held."""
    return Terminated() if _HELD[-1:] == [signal.SIGTERM] else KeyboardInterrupt()


_HELD: list[int] = []  # the signals that were held, in order


@contextmanager
def held_interrupts(several: bool) -> Iterator[None]:
    """Let Ctrl-C and SIGTERM inside the block wait for the end of a training step: `Processes.clock` tells of them.

    A second Ctrl-C is not held, unless there are `several` processes: then the process that started them ends them.
    """
    INTERRUPTED.clear()
    _HELD.clear()
    if threading.current_thread() is not threading.main_thread():
        yield  # signals reach the main thread only
        return

    def hold(number: int, frame: FrameType | None) -> None:
        if INTERRUPTED.is_set() and number == signal.SIGINT and not several:
            raise KeyboardInterrupt
        _HELD.append(number)
        INTERRUPTED.set()

    before = [signal.signal(number, hold) for number in STOPPING]
    try:
        yield
    finally:
        for number, handler in zip(STOPPING, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Raise Terminated in the block for a SIGTERM, which would end the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
