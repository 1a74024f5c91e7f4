"""One side of a comparison, alone in a process: a model or its plain form, with an optimiser and a batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing import get_context
from typing import Any

import torch
from torch import Tensor, nn

from nextframe.benchmark.speed.machine import peak_memory
from nextframe.benchmark.speed.task import HORIZON, PREDICT, STREAM, TRAIN
from nextframe.benchmark.speed.timing import seconds_of
from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip, Task
from nextframe.core.device import wait_for
from nextframe.core.errors import NextframeError
from nextframe.models.contract import Predictor
from nextframe.models.peers.peer import peer_of
from nextframe.models.protocols import Streaming

RATE = 1e-3  # Adam's, on both sides


@dataclass(frozen=True)
class Job:
    """What a side is made of; it is sent to its process."""

    model: str
    plain: bool  # the plain form, with the same weights
    batch: int
    size: tuple[int, int]
    context: int
    channels: int = 1
    device: str = "cpu"
    precision: str = "32"
    least: float = 0.0
    threads: int = 0  # 0: as many as torch takes
    fields: dict[str, Any] = field(default_factory=dict)

    def build(self) -> Predictor:
        """Return the model, with the weights of seed 0."""
        torch.manual_seed(0)
        return create_model(self.model, **self.fields)

    def clip(self, device: str) -> Clip:
        """Return the batch: smooth moving light, the same on both sides."""
        generator = torch.Generator().manual_seed(1)
        start = torch.rand(self.batch, 1, 1, 1, 1, generator=generator)
        length, (height, width) = self.context + HORIZON, self.size
        time_, rows, columns = torch.meshgrid(
            torch.arange(length) / 10, torch.linspace(0, 6, height), torch.linspace(0, 6, width), indexing="ij"
        )
        frames = (0.5 + 0.5 * torch.sin(rows + columns + time_)[:, None]) * start  # (B, T, 1, H, W)
        return Task.forecast(self.context, HORIZON).split(frames.expand(-1, -1, self.channels, -1, -1).to(device))


class Side:
    """Does once what it is asked for, and says how long it took."""

    def __init__(self, job: Job) -> None:
        if job.threads:
            torch.set_num_threads(job.threads)
        self.job, model = job, job.build()
        self.trainable = model.capabilities.trainable
        self.module: Any = self._plain(model) if job.plain else model
        self.module.to(job.device)
        self.clip = job.clip(job.device)
        self.loss_of = self._loss(self.module)
        parameters = list(self.module.parameters())
        self.optimizer = torch.optim.Adam(parameters, lr=RATE) if self.loss_of else None
        self._stream: Any = None

    def _plain(self, model: Predictor) -> nn.Module:
        peer = peer_of(self.job.model)
        assert peer is not None  # else nobody asks for it
        plain = peer(model.config)
        plain.take(model.state_dict())
        return plain

    def _loss(self, module: Any) -> Callable[[Clip], Tensor] | None:
        if not self.trainable:
            return None
        if self.job.plain:
            loss: Callable[[Clip], Tensor] = module.loss
            return loss
        objective = module.stages()[0].objectives[0]
        return lambda clip: objective.loss(clip)[0]

    def train(self) -> dict[str, float]:
        """Take one training step: loss, gradient, Adam; return its seconds and its loss."""
        assert self.loss_of is not None
        assert self.optimizer is not None
        self.module.train()
        began = time.perf_counter()
        self.optimizer.zero_grad(set_to_none=True)
        with self._autocast():
            loss = self.loss_of(self.clip)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        wait_for(torch.device(self.job.device))
        return {"seconds": time.perf_counter() - began, "loss": loss.item()}

    def predict(self) -> dict[str, float]:
        """Predict HORIZON frames of the first clip."""
        context = self.clip.context[:1]
        plain = self.job.plain
        return self._repeated(
            lambda: self.module.forecast(context, HORIZON) if plain else self.module.predict(context, HORIZON)
        )

    def stream(self) -> dict[str, float]:
        """Read one more frame after the context, and predict the next one."""
        frame = self.clip.target[:1, 0]
        if self._stream is None:
            with torch.no_grad(), self._autocast():
                self._stream = self.module.eval().prime(self.clip.context[:1])
        return self._repeated(lambda: self.module.step(self._stream, frame))

    def _repeated(self, work: Callable[[], object]) -> dict[str, float]:
        def once() -> None:
            work()
            wait_for(torch.device(self.job.device))

        self.module.eval()
        with torch.no_grad(), self._autocast():
            return {"seconds": seconds_of(once, time.perf_counter, self.job.least)}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.job.device, torch.bfloat16, enabled=self.job.precision == "bf16")

    def able(self) -> dict[str, bool]:
        """Return what it can be asked for."""
        return {TRAIN: self.loss_of is not None, PREDICT: True, STREAM: isinstance(self.module, Streaming)}

    def memory(self) -> dict[str, int | None]:
        """Return the most bytes that this process has held so far."""
        return {"bytes": peak_memory(self.job.device)}


class Worker:
    """A side in a process of its own, which is asked in words."""

    def __init__(self, job: Job) -> None:
        spawn = get_context("spawn")
        self._ours, theirs = spawn.Pipe()
        self._name = f"{job.model}{', its plain form' if job.plain else ''}"
        self.process = spawn.Process(target=_serve, args=(job, theirs), daemon=True)
        self.process.start()
        theirs.close()

    def ask(self, what: str) -> Any:
        """Return what the side answers to the name of one of its methods; NextframeError if its process ended."""
        try:
            self._ours.send(what)
            answer = self._ours.recv()
        except (EOFError, OSError):
            self.process.join(5)
            code = self.process.exitcode
            raise NextframeError(
                f"speed of {self._name}: the process ended (exit code {code}); try a smaller batch"
            ) from None
        if isinstance(answer, str):
            raise NextframeError(f"speed of {self._name}: {answer}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._ours.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _serve(job: Job, pipe: Any) -> None:
    """Answer until the other end is closed; an error is answered in words."""
    side: Side | None = None
    while True:
        try:
            what = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            side = side or Side(job)
            pipe.send(getattr(side, what)())
        except Exception as error:  # noqa: BLE001  # the process that asked raises it
            pipe.send(f"{type(error).__name__}: {error}".partition("\n")[0])
