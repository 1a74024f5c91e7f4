"""What the machine itself reaches, in operations a second: the measure for what a model makes of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from nextframe.benchmark.speed.timing import seconds_of
from nextframe.core.device import wait_for

MATRIX = {"cpu": 1536, "cuda": 8192}  # rows and columns
MAPS = {"cpu": (8, 64, 64, 64), "cuda": (64, 256, 64, 64)}  # (B, C, H, W) of a 3x3 convolution to as many channels
TRIES = 5


def measured_peaks(device: str, precision: str, seconds: float = 0.2) -> dict[str, float]:
    """Return {"matmul", "convolution"} in GFLOP/s, the best of a few tries; a product and a sum count as two.

    Args:
        device: cpu, cuda or mps.
        precision: 32 or bf16.
        seconds: that a try takes, at least.
    """
    where, dtype = torch.device(device), torch.bfloat16 if precision == "bf16" else torch.float32
    kind = "cpu" if device == "cpu" else "cuda"
    n, (batch, channels, height, width) = MATRIX[kind], MAPS[kind]
    matrix = torch.randn(n, n, device=where, dtype=dtype)
    maps = torch.randn(batch, channels, height, width, device=where, dtype=dtype)
    maps = maps.contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(channels, channels, 3, 3, device=where, dtype=dtype)
    works = {
        "matmul": (2.0 * n**3, lambda: matrix @ matrix),
        "convolution": (2.0 * batch * height * width * channels**2 * 9, lambda: F.conv2d(maps, kernel, padding=1)),
    }
    with torch.no_grad():
        return {name: flops / _best(work, where, seconds) / 1e9 for name, (flops, work) in works.items()}


def _best(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the seconds of one call in the fastest of some tries."""

    def once() -> None:
        work()
        wait_for(device)

    once()
    return min(seconds_of(once, time.perf_counter, seconds) for _ in range(TRIES))


def peak_memory(device: str) -> int | None:
    """Return the most bytes that this process has held: on a GPU, or in memory; None where that cannot be read."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    # not ru_maxrss, which a process has from the one that starts it
    return int(status.read_text(encoding="utf-8").partition("VmHWM:")[2].split()[0]) * 1024
