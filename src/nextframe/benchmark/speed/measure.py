"""Measures models and their plain forms in turn, and returns rows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from nextframe.benchmark.speed.machine import measured_peaks
from nextframe.benchmark.speed.side import Job, Worker
from nextframe.benchmark.speed.table import as_text
from nextframe.benchmark.speed.task import HORIZON, IMPORT, MEMORY, PREDICT, START, STREAM, TRAIN, SpeedConfig
from nextframe.benchmark.speed.timing import Spread, furthest, in_turn, times_as_fast
from nextframe.core.device import resolve_device
from nextframe.core.files.whole_file import write_whole
from nextframe.core.progress import ProgressBar
from nextframe.evaluation import run_facts
from nextframe.models import MODELS
from nextframe.models.peers.peer import PEERS, Peer, peer_of

OURS, PLAIN = "nextframe", "plain"
WORDS = {TRAIN: "train", PREDICT: "predict", STREAM: "stream"}  # what a side is asked
FIRST = """
import nextframe, torch
model = nextframe.create_model({name!r}, **{fields!r})
model.predict(torch.rand(1, {context}, {channels}, {height}, {width}), 1)
"""


@dataclass(frozen=True)
class SpeedResult:
    """What was found, as plain values: `rows`, `peaks`, `run`."""

    values: dict[str, Any]

    def write(self, output: Path) -> list[Path]:
        """Write OUTPUT.json, whole or not at all, and return it."""
        path = output.with_name(f"{output.name}.json")
        write_whole(path, json.dumps(self.values, indent=1, allow_nan=False) + "\n")
        return [path]

    def text(self) -> str:
        """Return a short table of it."""
        return as_text(self.values)


def measure_speed(
    models: Sequence[str] | None = None, config: SpeedConfig | None = None, device: str = "auto", show: bool = True
) -> SpeedResult:
    """Measure models beside their plain forms, in processes of their own that take turns.

    Args:
        models: names; None: all that have a plain form. One without is measured alone.
        config: how often, and on what.
        device: auto, cpu, cuda or mps.
        show: progress on a terminal, log lines elsewhere.

    Raises:
        UserError: an unknown model, or one that does not take such clips.
        NextframeError: a process ended.
    """
    began, config, where = time.monotonic(), config or SpeedConfig(), resolve_device(device)
    names = list(PEERS) if models is None else list(dict.fromkeys(models))
    jobs = [job_of(name, config, where) for name in names]
    rows: list[dict[str, Any]] = []
    with ProgressBar("speed", show=show, unit="model") as bar:
        peaks = measured_peaks(where, config.precision)
        bar.say(0, 0.0, f"peak {max(peaks.values()):.0f} GFLOP/s")
        for number, job in enumerate(jobs, 1):
            rows += rows_of(job, config.rounds, max(peaks.values()))
            bar.say(number, number / (len(jobs) + 1), job.model)
        rows += start_up(jobs[0], config.rounds)
    facts = run_facts(None, 0, began) | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    settings = config.model_dump(mode="json") | {"device": where}
    return SpeedResult({"rows": rows, "peaks_gflops": peaks, "settings": settings, "run": facts})


def job_of(name: str, config: SpeedConfig, device: str) -> Job:
    """Return what measures the model called `name`; UserError if it is unknown or does not take the clips."""
    peer, known = peer_of(name) or Peer, MODELS.get(name).Config.model_fields
    height, width = config.size
    from_clips = {"context": config.context, "channels": 1, "frame_height": height, "frame_width": width}
    fields = {key: value for key, value in from_clips.items() if key in known} | dict(peer.fields)
    fields |= {key: value for key, value in config.fields.items() if key in known}
    job = Job(
        model=name,
        plain=False,
        batch=config.batch or peer.batch,
        size=config.size,
        context=config.context,
        device=device,
        precision=config.precision,
        least=config.least,
        threads=torch.get_num_threads(),
        fields=fields,
    )
    model = job.build()
    job = replace(job, channels=model.capabilities.channels or 1)
    model.request(job.clip("cpu").context, HORIZON)  # refuses clips that it does not take
    return job


def rows_of(job: Job, rounds: int, peak: float) -> list[dict[str, Any]]:
    """Return the rows of one model and its plain form; `peak` is the machine's, in GFLOP/s."""
    sides = {OURS: job} | ({PLAIN: replace(job, plain=True)} if peer_of(job.model) else {})
    losses: dict[str, list[float]] = {name: [] for name in sides}
    rows: list[dict[str, Any]] = []
    with ExitStack() as opened:
        workers = {name: opened.enter_context(closing(Worker(side))) for name, side in sides.items()}
        able = {name: worker.ask("able") for name, worker in workers.items()}
        for what, word in WORDS.items():
            asked = {name: _asking(workers[name], word, losses[name]) for name in sides if able[name][what]}
            if OURS in asked:
                rows.append(_row(job, what, in_turn(asked, rounds)))
            if what == TRAIN and rows:  # before anything else has taken memory
                rows[0] |= _of_training(job, rows[0]["sides"], losses, peak)
                rows += _memory(job, {name: worker.ask("memory")["bytes"] for name, worker in workers.items()})
    return rows


def _of_training(
    job: Job, sides: dict[str, dict[str, float]], losses: dict[str, list[float]], peak: float
) -> dict[str, Any]:
    """Return what is known of training steps besides their seconds, where there is a plain form."""
    peer = peer_of(job.model)
    if peer is None:
        return {}
    gflop = training_flops(job) / 1e9
    return {
        "losses": losses,
        "largest_relative_difference_of_losses": furthest(losses[OURS], losses[PLAIN]) if peer.same else None,
        "gflop": gflop,
        "share_of_peak": {name: gflop / side["median"] / peak for name, side in sides.items()},
    }


def _memory(job: Job, held: dict[str, int | None]) -> list[dict[str, Any]]:
    """Return a row of the most bytes that each process has held while it trained, if they can be read."""
    known = {name: count for name, count in held.items() if count is not None}
    if OURS not in known:
        return []
    row = {**_named(job, MEMORY), "unit": "bytes", "sides": {name: {"max": count} for name, count in known.items()}}
    return [row | ({"share_of_plain": known[OURS] / known[PLAIN]} if PLAIN in known else {})]


def _asking(worker: Worker, word: str, losses: list[float]) -> Callable[[], float]:
    def ask() -> float:
        answer = worker.ask(word)
        if "loss" in answer:
            losses.append(answer["loss"])
        return float(answer["seconds"])

    return ask


def _named(job: Job, what: str) -> dict[str, Any]:
    peer = peer_of(job.model)
    of = {"batch": job.batch if what in (TRAIN, MEMORY) else 1, "beside": peer.about if peer else None}
    return {"model": job.model, "what": what, **of}


def _row(job: Job, what: str, found: dict[str, Spread]) -> dict[str, Any]:
    row = {**_named(job, what), "unit": "s", "sides": {name: spread.facts() for name, spread in found.items()}}
    if PLAIN in found:
        row["times_as_fast"] = times_as_fast(found[OURS], found[PLAIN])
    return row


def training_flops(job: Job) -> int:
    """Return the operations of a training step of the plain form, forward and backward, as torch counts them.

    Direct convolutions and products; a method that takes fewer, such as Winograd's, can pass the machine's peak.
    """
    peer = peer_of(job.model)
    assert peer is not None
    with torch.device("meta"):
        module = peer(job.build().config).train()
    counter = FlopCounterMode(display=False)
    with counter:
        module.loss(job.clip("meta")).backward()  # type: ignore[no-untyped-call]
    return counter.get_total_flops()


def start_up(job: Job, rounds: int) -> list[dict[str, Any]]:
    """Return the row of what it takes from nothing to a first predicted frame, beside torch's import alone."""
    height, width = job.size
    first = FIRST.format(
        name=job.model, fields=job.fields, context=job.context, channels=job.channels, height=height, width=width
    )
    found = in_turn({OURS: lambda: _run(first), IMPORT: lambda: _run("import torch")}, rounds)
    sides = {name: spread.facts() for name, spread in found.items()}
    return [{"model": job.model, "what": START, "batch": 1, "beside": IMPORT, "unit": "s", "sides": sides}]


def _run(code: str) -> float:
    """Return the seconds of a fresh Python that runs `code`."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
