"""What a run logs while it trains, and metrics.jsonl, which has it: one line per logged step."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nextframe.core.errors import NextframeError
from nextframe.core.seeds.noise import widest
from nextframe.training.parallel.processes import Processes


def not_finite(name: str, step: int) -> NextframeError:
    """Return the error of a run whose values are no longer finite."""
    return NextframeError(
        f"{name} is not finite at step {step}: the last good checkpoint is kept; "
        "try a lower learning rate (--lr, in Python lr=) or clipped gradients (--set training.grad_clip=1, in Python "
        "settings={'training.grad_clip': 1})"
    )


class Window:
    """Means of what was logged since the last log line; part of a checkpoint, so that resuming changes no mean."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor | float] = {}
        self.counts: dict[str, Tensor | float] = {}

    def add(self, values: Mapping[str, Tensor], kept: Tensor | float = 1.0) -> None:
        """Add one step's scalar `values`, or nothing if `kept` is 0; they stay on their device until they are read."""
        for name, value in values.items():
            value = value.detach().to(widest(value.device))
            if isinstance(kept, Tensor):
                value = torch.where(kept > 0, value, 0.0)
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0.0) + kept

    def reduce(self, processes: Processes) -> None:
        """Replace the sums by their means over all processes, so that they are those of the global batches."""
        totals = processes.total({name: float(total) for name, total in self.sums.items()})
        self.sums = {name: totals[name] / processes.world for name in self.sums}

    def means(self) -> dict[str, float]:
        """Return the means, of what was added at all, and start a new window."""
        counts = {name: float(count) for name, count in self.counts.items()}
        means = {name: float(total) / counts[name] for name, total in self.sums.items() if counts[name]}
        self.sums, self.counts = {}, {}
        return means

    def check(self, step: int) -> None:
        """Raise NextframeError if any logged value is not finite."""
        for name, total in self.sums.items():
            if not math.isfinite(float(total)):
                raise not_finite(name, step)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run needs."""
        counts = {name: int(count) for name, count in self.counts.items()}
        return {"sums": {name: float(total) for name, total in self.sums.items()}, "counts": counts}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])


class MetricsFile:
    """metrics.jsonl of one run; on resume, lines after the checkpoint's step are cut."""

    def __init__(self, folder: Path, resumed_at: int) -> None:
        self.path = folder / "metrics.jsonl"
        _keep_until(self.path, resumed_at)
        self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115  # closed by close()

    def write(self, step: int, values: dict[str, Any]) -> None:
        """Append one line for `step`."""
        self.file.write(json.dumps({"step": step, **values}) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Flush and close it."""
        self.file.close()


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of a run's metrics.jsonl; a last line cut off by a kill is skipped."""
    path = folder / "metrics.jsonl"
    return _whole_lines(path) if path.exists() else []


def _whole_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [json.loads(line) for line in whole.splitlines() if line.strip()]


def _keep_until(path: Path, step: int) -> None:
    if not path.exists():
        return
    kept = [line for line in _whole_lines(path) if line["step"] <= step]
    fresh = path.with_suffix(".tmp")
    fresh.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    fresh.replace(path)
