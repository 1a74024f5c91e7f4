"""Train with one process and with two on this machine, in turn: clips a second, and whether the losses agree.

Both have all processors between them. Each run is `nextframe train` of its own; the speed is that of its log lines but
the first. Writes results/bench-processes.json. On two GPUs: --device cuda --strategy fsdp (or ddp).

    python bench/processes_speed.py [--rounds 3] [--steps 60] [--model convlstm] [--batch 8]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from nextframe.benchmark.speed.timing import Spread, furthest, in_turn
from nextframe.evaluation.run_facts import run_facts
from nextframe.training import read_metrics

ROOT = Path(__file__).resolve().parents[1]
PROCESSES = (1, 2)


def run(folder: Path, processes: int, args: argparse.Namespace) -> tuple[float, list[float]]:
    """Train once; return clips a second, and the loss of each logged step."""
    strategy = args.strategy if processes > 1 else "auto"
    settings = [
        f"run.devices={processes}", "run.report=false", "training.log_every=10", "training.precision=32",
        f"training.val_every={args.steps}", "training.val_clips=2", f"training.strategy={strategy}", *args.set,
    ]  # fmt: skip
    words = ["train", args.model, "--data", "moving-digits", "--steps", args.steps, "--batch", args.batch, "-q"]
    words += ["--device", args.device, "-o", folder, *(word for one in settings for word in ("--set", one))]
    cores = len(os.sched_getaffinity(0))
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, cores // processes))}
    subprocess.run([sys.executable, "-m", "nextframe", *map(str, words)], check=True, env=environment)
    lines = [line for line in read_metrics(folder) if "train/loss" in line]
    rest = lines[1:]
    seconds = lines[-1]["seconds"] - lines[0]["seconds"]
    return 10 * len(rest) * args.batch / seconds, [line["train/loss"] for line in lines]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="convlstm")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--strategy", default="ddp")
    parser.add_argument("--set", action="append", default=[], help="more settings of nextframe train")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-processes.json")
    args = parser.parse_args()
    began, losses = time.monotonic(), dict[int, list[float]]()
    with tempfile.TemporaryDirectory() as scratch:

        def side(processes: int) -> float:
            number = sum(1 for _ in Path(scratch).iterdir())
            speed, losses[processes] = run(Path(scratch) / str(number), processes, args)
            print(f"{processes} processes: {speed:.2f} clips/s", flush=True)
            return speed

        found: dict[str, Spread] = in_turn({str(n): lambda n=n: side(n) for n in PROCESSES}, args.rounds)
    values: dict[str, Any] = {
        "rows": [
            {"processes": int(n), "metric": "training clips/s", "model": args.model, "batch": args.batch, **s.facts()}
            for n, s in found.items()
        ],
        "losses": losses,
        "largest_relative_difference_of_losses": furthest(*losses.values()),
        "times_as_fast": found["2"].median / found["1"].median,
        "run": run_facts(None, 0, began),
    }
    args.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({k: v for k, v in values.items() if k not in ("rows", "losses", "run")}, indent=1))


if __name__ == "__main__":
    main()
