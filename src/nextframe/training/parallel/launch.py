"""Several processes on this machine: started here, watched, and ended together."""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, NoReturn

import torch.distributed as dist

from nextframe.core.errors import NextframeError, UserError
from nextframe.core.plugins import load_plugin, loaded_files
from nextframe.training.parallel.fabric import ready_fabric
from nextframe.training.parallel.processes import terminated_as_interrupted

GRACE = 2.0  # seconds for processes to report why they fail, once one has ended
LAST_STEP = 30.0  # seconds to end a step and write a checkpoint in after Ctrl-C
KILLED = 9  # SIGKILL, a name that Windows does not have
LOST = "a script that trains on several devices calls it under `if __name__ == '__main__':`"


def started_outside() -> bool:
    """Whether torchrun, SLURM or the user started this process as one of several."""
    ready_fabric()
    from lightning_fabric.plugins.environments import SLURMEnvironment, TorchElasticEnvironment

    return "LOCAL_RANK" in os.environ or TorchElasticEnvironment.detect() or SLURMEnvironment.detect()


def processes_of(devices: int) -> tuple[int, int]:
    """Return how many processes each machine has, and how many machines: as torchrun or SLURM started them.

    Where neither did: `devices` on this one machine.

    Raises:
        UserError: machines have different numbers of them.
    """
    ready_fabric()
    from lightning_fabric.plugins.environments import SLURMEnvironment

    environment = os.environ
    if "LOCAL_WORLD_SIZE" in environment and "WORLD_SIZE" in environment:
        here, world = int(environment["LOCAL_WORLD_SIZE"]), int(environment["WORLD_SIZE"])
    elif SLURMEnvironment.detect():
        world = int(environment["SLURM_NTASKS"])
        here = int(environment.get("SLURM_NTASKS_PER_NODE", world // int(environment.get("SLURM_NNODES", "1"))))
    else:
        return devices, 1
    if not here or world % here:
        raise UserError(f"{world} processes were started, {here} of them on this machine: start as many on each")
    return here, world // here


@dataclass(frozen=True)
class _Place:
    """What a process has to know before it begins."""

    rank: int
    count: int
    port: int
    plugins: list[str]
    log_level: int


def launch(count: int, function: Callable[..., object], *arguments: Any, advice: str = "") -> None:
    """Run `function(*arguments)` in `count` new processes, which know their places; return when all are done.

    When one of them fails or dies the others are ended too, and none outlives this process.

    Args:
        count: processes, one a device.
        function: importable, as the arguments must be picklable.
        arguments: what it is called with.
        advice: what to do after a process died, for the error's line.

    Raises:
        NextframeError: the error that a process raised, or one died: which and how.
        KeyboardInterrupt: after the processes have ended their step.
    """
    # where the processes find one another; here it outlives each of them
    store: Any = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # type: ignore[attr-defined]
    level = logging.getLogger().level if logging.getLogger().handlers else logging.WARNING
    workers = [
        _Worker(_Place(rank, count, store.port, loaded_files(), level), function, arguments) for rank in range(count)
    ]
    try:
        with terminated_as_interrupted():
            for worker in workers:
                worker.start()
            _watch(workers, advice)
    except KeyboardInterrupt:
        _interrupt(workers)
        raise
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """One process, and the line through which it says why it failed."""

    def __init__(self, place: _Place, function: Callable[..., object], arguments: Sequence[Any]) -> None:
        spawn = multiprocessing.get_context("spawn")  # a forked process inherits locks and broken CUDA
        self.reports, self._theirs = spawn.Pipe(duplex=False)
        self.place = place
        self.process: SpawnProcess = spawn.Process(target=_work, args=(place, self._theirs, function, arguments))

    def start(self) -> None:
        """Start the process; UserError if it cannot be sent what it is to do."""
        try:
            self.process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            what = str(error).partition("\n")[0]
            raise UserError(
                f"cannot be sent to processes: {what}; use a function of a module, or one device"
            ) from error
        self._theirs.close()  # the process has its own: when that ends, nothing more can come

    @property
    def name(self) -> str:
        return f"process {self.place.rank + 1} of {self.place.count}"

    def report(self) -> tuple[str, int] | None:
        """Return what the process said before it ended: its error's text and exit code."""
        try:
            return self.reports.recv() if self.reports.poll() else None
        except EOFError:
            return None

    def end(self) -> None:
        if self.process.pid is None:
            return
        self.process.kill()
        self.process.join()


def _watch(workers: Sequence[_Worker], advice: str) -> None:
    """Return when all processes have ended well; raise the error of the one that did not."""
    running = {worker.process.sentinel: worker for worker in workers}
    while running:
        for sentinel in wait(list(running)):
            worker = running.pop(sentinel)  # type: ignore[arg-type]  # a sentinel is an int on all systems but Windows
            worker.process.join()
            if worker.process.exitcode:
                _join([other.process for other in running.values()], GRACE)  # it breaks them, and they say so
                raise _failure(workers, advice)


def _failure(workers: Sequence[_Worker], advice: str) -> BaseException:
    """Return the error that explains the rest: a process killed from outside, else a known error, else any."""
    for worker in workers:
        code = worker.process.exitcode
        if code is not None and code < 0:
            return NextframeError(f"{worker.name} died ({_cause(-code)}){advice and '; ' + advice}")
    reports = [(worker, report) for worker in workers if (report := worker.report()) is not None]
    for _, (text, code) in reports:
        if code == 130:
            return KeyboardInterrupt()
        if code:
            return UserError(text) if code == UserError.exit_code else NextframeError(text)
    for worker, (text, _) in reports:
        error = RuntimeError(f"{worker.name}: {text.splitlines()[0]}")
        error.add_note(text)
        return error
    ended = next(worker for worker in workers if worker.process.exitcode)
    return NextframeError(f"{ended.name} ended without a word (exit code {ended.process.exitcode}); {LOST}")


def _cause(number: int) -> str:
    return f"signal {number}, as when memory runs out" if number == KILLED else f"signal {number}"


def _interrupt(workers: Sequence[_Worker]) -> None:
    """Pass Ctrl-C on, and give the processes the time to end their step and write a checkpoint.

    On Windows they have it from the terminal, and os.kill would end them at once.
    """
    for worker in workers:
        if os.name != "nt" and worker.process.is_alive() and worker.process.pid is not None:
            os.kill(worker.process.pid, signal.SIGINT)
    _join([worker.process for worker in workers], LAST_STEP)


def _join(processes: Sequence[SpawnProcess], seconds: float) -> None:
    """Return when all `processes` have ended, or `seconds` have passed."""
    until = time.monotonic() + seconds
    for process in processes:
        process.join(max(until - time.monotonic(), 0.0))


def _work(place: _Place, reports: Connection, function: Callable[..., object], arguments: Sequence[Any]) -> None:
    """Run in a new process: take the place, call the function, report an error."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ |= {
        "LOCAL_RANK": str(place.rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(place.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",  # the store is the parent's
    }
    logging.basicConfig(level=place.log_level, format="%(message)s", stream=sys.stderr)
    try:
        for plugin in place.plugins:
            load_plugin(plugin)
        function(*arguments)
    except KeyboardInterrupt:
        reports.send(("", 130))
    except NextframeError as error:
        reports.send((str(error), error.exit_code))
    except Exception as error:  # noqa: BLE001  # the parent raises it
        first = f"{type(error).__name__}: {error}".partition("\n")[0]
        reports.send((f"{first[:1000]}\n{traceback.format_exc()[-9_000:]}", 0))  # more would wait for a reader
    else:
        _leave()
    sys.exit(1)


def _leave() -> NoReturn:
    """End this process, whose work is done, as Python ends a forked one: without taking its libraries apart.

    One of their threads, still there when its object went, has ended a process with SIGABRT.
    """
    if dist.is_initialized():
        dist.destroy_process_group()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that came."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
