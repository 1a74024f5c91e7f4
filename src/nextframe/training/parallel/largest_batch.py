"""The largest batch that fits into memory: tried on a GPU, worked out on a processor from what small ones take.

It is found once, before a run begins, and stands in the run's recipe as a number: a resumed or repeated run has it too.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from math import floor
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from nextframe.core.device import resolve_device
from nextframe.core.errors import NextframeError, UserError
from nextframe.core.plugins import load_plugin, loaded_files
from nextframe.core.progress import tell
from nextframe.training.job import Job
from nextframe.training.parallel.devices import make_fabric
from nextframe.training.parallel.launch import started_outside
from nextframe.training.recipe import Recipe
from nextframe.training.run import build

LOG = logging.getLogger(__name__)
MOST = 1024  # clips: beyond that a step has long been bound by arithmetic
SHARE = {"cpu": 0.8, "cuda": 0.9}  # of the memory that a run may fill
TELLING = 32 * 2**20  # bytes by which two batches must differ to tell what a clip takes
LAST_LOOK = 64  # clips of the largest batch that is looked at on a processor
GIVE = "give --batch a number"


def with_largest_batch(recipe: Recipe, devices: int = 1, show: bool = True) -> Recipe:
    """Return `recipe` with training.batch at the largest power of two that fits, at most MOST and the train split.

    Args:
        recipe: a new run's; a few steps of it are taken in a process of its own.
        devices: of the run.
        show: whether to say what was found.

    Raises:
        UserError: several devices, or a system whose memory cannot be read.
        NextframeError: not even one clip fits.
    """
    device = resolve_device(recipe.training.device)
    if devices > 1 or started_outside():
        raise UserError(f"--batch auto measures one device, and the run has several: {GIVE}")
    if device not in SHARE:
        raise UserError(f"--batch auto cannot read how much memory '{device}' has: {GIVE}")
    limit = SHARE[device] * (free_memory() if device == "cpu" else torch.cuda.mem_get_info()[0])
    with _trials(recipe) as trial:
        most, first = trial(1)
        if first > limit:
            raise NextframeError(f"not even one clip fits: a step takes {_gib(first)}, and {_gib(limit)} may be used")
        find = _worked_out if device == "cpu" else _tried
        batch = find(lambda size: trial(size)[1], first, limit, min(MOST, most or MOST))
    if show:
        tell(LOG, f"batch {batch}: the largest that fits, up to {_gib(limit)}")
    training = recipe.training.model_copy(update={"batch": batch})
    return recipe.model_copy(update={"training": training})


def _worked_out(peak: Callable[[int], float], first: float, limit: float, most: int) -> int:
    """Return the largest power of two for which a line through two small batches stays under `limit`."""
    size, before, now = 1, first, first
    while now - before < TELLING and 2 * size <= min(most, LAST_LOOK):
        size, before, now = 2 * size, now, peak(2 * size)
    each = max((now - before) / (size / 2), 1.0)
    fits = size + floor((limit - now) / each)
    return power_of_two(max(1, min(fits, most)))


def _tried(peak: Callable[[int], float], first: float, limit: float, most: int) -> int:
    """Return the largest power of two that ran, and took no more than `limit`."""
    size = 1
    while 2 * size <= most and peak(2 * size) <= limit:
        size *= 2
    return size


def power_of_two(count: int) -> int:
    """Return the largest power of two that is at most `count`, 1 or more."""
    return 1 << (count.bit_length() - 1)


def free_memory(proc: Path = Path("/proc/meminfo"), group: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the bytes of memory that this process could still take: of the machine, or its control group if less.

    Raises:
        UserError: a system that does not say it there.
    """
    if not proc.exists():
        raise UserError(f"--batch auto cannot read how much memory is free here: {GIVE}")
    free = int(proc.read_text(encoding="ascii").partition("MemAvailable:")[2].split()[0]) * 1024
    limit, used = group / "memory.max", group / "memory.current"
    if limit.exists() and used.exists() and (most := limit.read_text(encoding="ascii").strip()) != "max":
        free = min(free, int(most) - int(used.read_text(encoding="ascii")))
    return free


@contextmanager
def _trials(recipe: Recipe) -> Iterator[Callable[[int], tuple[int | None, float]]]:
    """Yield a function of a batch size, ascending: clips of the train split, and the most bytes of a step so far.

    The bytes are infinite for a batch that a GPU could not hold. The steps are taken in a process of its own.
    """
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(recipe, theirs, loaded_files()), daemon=True)
    process.start()
    theirs.close()

    def trial(size: int) -> tuple[int | None, float]:
        try:
            ours.send(size)
            answer = ours.recv()
        except (EOFError, OSError):
            raise NextframeError(f"a step of {size} clips ended its process, as when memory runs out: {GIVE}") from None
        if isinstance(answer, BaseException):
            raise answer
        count, peak = answer
        return count, float(peak)

    try:
        yield trial
    finally:
        ours.close()
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(recipe: Recipe, pipe: Connection, plugins: list[str]) -> None:
    """Take steps of the sizes that come, until no more do."""
    with tempfile.TemporaryDirectory() as folder:
        while True:
            try:
                size = pipe.recv()
            except (EOFError, OSError):
                return
            try:
                for plugin in plugins:
                    load_plugin(plugin)
                pipe.send(_step(recipe, size, Path(folder)))
            except Exception as error:  # noqa: BLE001  # the process that asked raises it
                pipe.send(
                    error if isinstance(error, NextframeError) else NextframeError(f"a trial step failed: {error}")
                )


def _step(recipe: Recipe, size: int, folder: Path) -> tuple[int | None, float]:
    """Take two steps of `size` clips; return the clips of the train split and the most bytes that were held."""
    of_trial: Mapping[str, Any] = {"batch": size, "steps": 2, "minutes": None, "workers": 0}
    training = recipe.training.model_copy(update=dict(of_trial))
    run = build(Job(recipe.model_copy(update={"training": training}), folder, show=False), make_fabric(training))
    try:
        run.trainer.run(lambda: False, str(folder))
    except torch.OutOfMemoryError:
        return run.clips.count("train"), float("inf")
    return run.clips.count("train"), _held(run.fabric.device)


def _held(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    # not ru_maxrss, which a process has from the one that starts it
    return float(Path("/proc/self/status").read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]) * 1024


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
