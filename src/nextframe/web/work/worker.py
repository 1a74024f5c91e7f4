"""Predictions in separate processes: one that hangs, exhausts memory or crashes is killed, and the app goes on.

A worker reads one JSON line for each job and answers with JSON lines; nothing is pickled.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from nextframe.core.errors import NextframeError, UserError
from nextframe.web.work.job import run_job
from nextframe.web.work.plan import Job

if TYPE_CHECKING:
    from nextframe.models.contract import Predictor

LOG = logging.getLogger(__name__)
JOBS = 64  # jobs after which a worker is replaced by a new one, so that leaks do not add up
START_SECONDS = 120.0
LINE_BYTES = 1 << 20
MEMORY = 6 << 30  # bytes of address space of a worker without a GPU
FILE_BYTES = 256 << 20  # of one result
Message = dict[str, Any]


class Worker:
    """A process that runs one job at a time."""

    def __init__(self, models: list[str]) -> None:
        self.models, self.done = models, 0
        self._process: asyncio.subprocess.Process | None = None

    @property
    def alive(self) -> bool:
        """Whether the process is alive and may take another job."""
        return self._process is not None and self._process.returncode is None and self.done < JOBS

    async def start(self) -> None:
        """Start the process and wait until it has loaded its models."""
        await self.stop()
        environment = os.environ | {"HF_HUB_OFFLINE": "1", "NEXTFRAME_MODELS": json.dumps(self.models)}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-c", "from nextframe.web.work.worker import main; main()"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            limit=LINE_BYTES,
        )
        self.done = 0
        await self._hear(START_SECONDS)

    async def run(self, job: Job) -> AsyncGenerator[Message, None]:
        """Yield the worker's messages: {"stage": ...}, and at last {"done": ...}.

        Raises:
            UserError: what the visitor did wrong, or that a limit was reached.
        """
        finished = False
        self.done += 1
        try:
            assert self._process is not None
            assert self._process.stdin is not None
            self._process.stdin.write(job.model_dump_json().encode() + b"\n")
            seconds = job.limits.decode_seconds
            while not finished:
                message = await self._hear(seconds)
                finished = "stage" not in message
                if message.get("stage") not in (None, "reading"):
                    seconds = job.limits.predict_seconds
                if "refused" in message:
                    raise UserError(str(message["refused"]))
                yield message
        except TimeoutError:
            raise UserError(f"this takes more than {seconds:g} seconds, the limit here: use a smaller clip") from None
        finally:
            if not finished:
                await self.stop()

    async def _hear(self, seconds: float) -> Message:
        assert self._process is not None
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), seconds)
        if not line:
            raise UserError("the clip is too large for this server: use a smaller one")
        message: Message = json.loads(line)
        return message

    async def stop(self) -> None:
        """Kill the process, if there is one."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


class Workers:
    """A fixed number of workers; callers queue for one."""

    def __init__(self, count: int, models: list[str]) -> None:
        self.all = [Worker(models) for _ in range(count)]
        self._free: asyncio.Queue[Worker] = asyncio.Queue()

    async def start(self) -> None:
        """Start all of them."""
        await asyncio.gather(*(worker.start() for worker in self.all))
        for worker in self.all:
            self._free.put_nowait(worker)

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[Worker]:
        """Give a live worker, and take it back."""
        worker = await self._free.get()
        try:
            if not worker.alive:
                await worker.start()
            yield worker
        finally:
            self._free.put_nowait(worker)

    async def stop(self) -> None:
        """Kill all of them."""
        for worker in self.all:
            await worker.stop()


@lru_cache(maxsize=32)
def _model(spec: str) -> Predictor:
    from nextframe.checkpoint import resolve_model

    return resolve_model(spec)


def _bound() -> None:
    """Limit memory and files of this process, if the system supports that: Windows neither, macOS no memory."""
    try:
        import resource
    except ImportError:  # Windows
        return
    import torch

    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "darwin" and not torch.cuda.is_available():  # macOS refuses to: it maps more at the start
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def main() -> None:
    """Answer jobs from standard input until it ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what a library prints goes to the log, not between the answers

    def answer(message: Message) -> None:
        answers.write(json.dumps(message) + "\n")

    _bound()
    for spec in json.loads(os.environ.get("NEXTFRAME_MODELS", "[]")):
        _model(spec)
    answer({"ready": True})
    for line in sys.stdin:
        answer(_answer(Job.parse(json.loads(line)), answer))


def _answer(job: Job, tell: Any) -> Message:
    try:
        return {
            "done": run_job(
                job, {name: _model(spec) for name, spec in job.models.items()}, lambda stage: tell({"stage": stage})
            )
        }
    except NextframeError as error:
        return {"refused": str(error)}
    except MemoryError:
        return {"refused": "the clip takes more memory than this server allows: use a smaller one"}
    except Exception as error:  # any error of a hostile file ends this job, not the server
        LOG.exception("a job failed")
        return {"refused": f"the clip cannot be predicted ({type(error).__name__})"}
