"""Compare a training step of the peephole LSTM with torch.nn.LSTM, and write results/bench-peephole-lstm.json.

Same size, same input, in turns: forward over the whole sequence, squared loss on every output, backward, one step of
plain SGD. torch.nn.LSTM has no peepholes, so it does less. bfloat16 is measured only where the processor has AMX.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from nextframe.evaluation.run_facts import run_facts
from nextframe.layers.lstm import PeepholeLSTM

ROOT = Path(__file__).resolve().parents[1]
GOALS = {"float32": "at most 1.3 times the seconds of torch.nn.LSTM", "bfloat16": "at most 1/3 of its float32 seconds"}


def has_amx() -> bool:
    """Whether the processor multiplies bfloat16 matrices by itself."""
    info = Path("/proc/cpuinfo")
    return info.exists() and "amx_bf16" in info.read_text(encoding="utf-8", errors="replace")


def contestants(args: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Return what takes a training step, by name."""
    torch.manual_seed(0)
    x = torch.rand(args.frames, args.batch, args.inputs)
    ours, theirs = PeepholeLSTM(args.inputs, args.hidden), nn.LSTM(args.inputs, args.hidden)
    state = (torch.zeros(args.batch, args.hidden), torch.zeros(args.batch, args.hidden))

    def stepper(module: nn.Module, run: Callable[[], Tensor], low: bool) -> Callable[[], None]:
        optimizer = torch.optim.SGD(module.parameters(), lr=1e-6)

        def step() -> None:
            optimizer.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=low):
                loss = run().float().square().sum()
            loss.backward()
            optimizer.step()

        return step

    found = {
        "torch.nn.LSTM float32": stepper(theirs, lambda: theirs(x)[0], False),
        "peephole float32": stepper(ours, lambda: ours(x, state, len(x))[0], False),
    }
    if has_amx():
        found["peephole bfloat16"] = stepper(ours, lambda: ours(x, state, len(x))[0], True)
    return found


def measure(steps: dict[str, Callable[[], None]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of every step; the first round, a warm-up, is skipped."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if turn:
                seconds[name].append(time.perf_counter() - began)
            print(f"{name} {'warm-up' if turn == 0 else turn}: {time.perf_counter() - began:.2f} s", flush=True)
    return seconds


def rows(seconds: dict[str, list[float]], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the rows of the results file."""
    size = f"{args.inputs} inputs, {args.hidden} units, batch {args.batch}, {args.frames} frames"
    definition = f"forward, squared loss, backward, SGD; {size}; median of {args.rounds} alternating steps"
    return [
        {
            "model": name,
            "data": "uniform noise",
            "split": "train",
            "metric": "seconds of a training step",
            "definition": definition,
            "unit": "s",
            "better": "lower",
            "mean": median(values),
            "seconds": values,
            "n": len(values),
        }
        for name, values in seconds.items()
    ]


def main() -> None:
    """Measure and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=4096)
    parser.add_argument("--hidden", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=80)
    parser.add_argument("--frames", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-peephole-lstm.json")
    args = parser.parse_args()
    begin = time.monotonic()
    seconds = measure(contestants(args), args.rounds)
    base = median(seconds["torch.nn.LSTM float32"])
    verdict = {"goals": GOALS, "bfloat16": "not measured: the processor has no amx_bf16"}
    for name, values in seconds.items():
        if name.startswith("peephole"):
            verdict[name.split()[1]] = f"{median(values) / base:.2f} times the seconds of torch.nn.LSTM in float32"
    command = "python bench/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    result = {"rows": rows(seconds, args), "verdict": verdict, "threads": torch.get_num_threads()}
    result["run"] = run_facts(command, 0, begin)
    partial = args.out.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    partial.replace(args.out)
    print(json.dumps(verdict, indent=1))


if __name__ == "__main__":
    main()
