"""Work spread over the processes of a Ray cluster, on one machine or many; one that dies is begun again.

Ray (Moritz et al. 2018, arXiv 1712.05889) is the extra nextframe[ray], and is imported here only.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from nextframe.core.errors import NextframeError, NotSupportedError, UserError

LOCAL = "local"  # the address of a cluster that is begun here, and ends with this process
STORE = 2**27  # bytes of a local cluster for what is passed on, which is little here
DEATHS = 3  # of one process; then something is wrong with what it does


@contextmanager
def cluster(address: str, workers: int | None = None) -> Iterator[Any]:
    """Yield Ray, connected to a cluster for the block.

    Args:
        address: "auto" for the cluster that this machine is part of, HOST:PORT of another, or "local": a new one of
            this machine alone.
        workers: of a local one, its processes; None: as many as there are processors.

    Raises:
        NotSupportedError: Ray is not installed.
        UserError: it cannot be reached or begun.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")  # a local one's processes are no less urgent than this one
    try:
        import ray
    except ImportError:
        raise NotSupportedError("run.ray needs the extra [ray]: pip install 'nextframe[ray]'") from None
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if address == LOCAL:
        options |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": STORE}
    else:
        options |= {"address": address}
    try:
        _check_there(address)
        ray.init(**options)
    except Exception as error:  # noqa: BLE001  # a node that is too slow to begin is no more than an Exception
        first = str(error).partition("\n")[0]
        raise UserError(
            f"run.ray={address}: cannot be reached or begun ({first}); `ray start --head` begins a cluster, and "
            "run.ray=local one of this machine alone"
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_there(address: str) -> None:
    """Raise OSError if nobody answers at HOST:PORT: Ray itself would wait for minutes, and then end the process."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def spread(
    ray: Any,
    build: Callable[..., Callable[[Any], Any]],
    arguments: Sequence[Any],
    items: Sequence[Any],
    *,
    workers: int | None = None,
    needs: Mapping[str, float] | None = None,
    plugins: Sequence[str] = (),
) -> Iterator[Any]:
    """Yield what the work on each item returns, in the order in which it is done.

    A process that dies is begun again, and does its item again: an item must be one that can be done twice.

    Args:
        ray: from `cluster`.
        build: a function of a module, called with `arguments` in each process; it returns the work on an item.
        arguments: picklable.
        items: picklable, as results are.
        workers: processes; None: as many as the cluster has places for.
        needs: what a process occupies, {"num_cpus": 1, "num_gpus": 0} if None.
        plugins: files of the user's that each process reads first.

    Raises:
        NextframeError: of an item, or a process died more than DEATHS times, or could not be begun.
    """
    needs = needs or {"num_cpus": 1}
    hand = ray.remote(_Hand).options(max_restarts=DEATHS, max_task_retries=DEATHS, **needs)
    count = min(workers or _places(ray, needs), len(items))
    hands = [hand.remote(build, list(arguments), list(plugins)) for _ in range(count)]
    waiting = iter(items)
    running = {one.do.remote(item): one for one, item in zip(hands, waiting, strict=False)}
    while running:
        (done,), _ = ray.wait(list(running), num_returns=1)
        one = running.pop(done)
        yield _result(ray, done)
        for item in waiting:
            running[one.do.remote(item)] = one
            break


def _places(ray: Any, needs: Mapping[str, float]) -> int:
    """Return how many processes with `needs` the cluster has room for, at least one."""
    there = ray.cluster_resources()
    return max(1, min(int(there.get(name[4:-1].upper(), 0) // need) for name, need in needs.items() if need))


def _result(ray: Any, reference: Any) -> Any:
    try:
        kind, value = ray.get(reference)
    except ray.exceptions.RayActorError as error:
        first = str(error).partition("\n")[0]
        raise NextframeError(
            f"a process of the cluster died ({first}): see that every machine has nextframe and the memory for it; the "
            "same command goes on with what is missing"
        ) from None
    if kind != "done":
        raise UserError(value) if kind == "user" else NextframeError(value)
    return value


class _Hand:
    """A process of the cluster: it makes ready once, then does one item after another."""

    def __init__(self, build: Callable[..., Callable[[Any], Any]], arguments: list[Any], plugins: list[str]) -> None:
        self._ready: Callable[[Any], Any] | None = None
        self._build, self._arguments, self._plugins = build, arguments, plugins

    def do(self, item: Any) -> tuple[str, Any]:
        """Return ("done", result), or an error in words: its own kind would be lost on the way."""
        try:
            return "done", self._work()(item)
        except UserError as error:
            return "user", str(error)
        except NextframeError as error:
            return "failed", str(error)

    def _work(self) -> Callable[[Any], Any]:
        if self._ready is None:
            from nextframe.core.plugins import load_plugin

            for plugin in self._plugins:
                load_plugin(plugin)
            self._ready = self._build(*self._arguments)
        return self._ready
