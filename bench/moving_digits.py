"""Measure how many moving-digit sequences a second the generator draws, and write results/bench-moving-digits.json.

One sequence: 20 frames of 64x64 uint8, two digits, drawn through the data set's own `read` in batches of 64, on
one thread. Rows by wall time and by processor time (what counts where others use the machine); best of `--repeats`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from nextframe.data import DataConfig, open_data
from nextframe.data.clipset import ClipSet

ROOT = Path(__file__).resolve().parents[1]


def read_all(clips: ClipSet, batches: int, batch: int) -> None:
    """Read `batches` batches of new clips."""
    for number in range(batches):
        clips.read("train", np.arange(number * batch, (number + 1) * batch, dtype=np.int64))


def measure(motion: str, batches: int, batch: int, repeats: int) -> list[dict[str, object]]:
    """Return rows of sequences per wall second and per processor second."""
    clips = open_data(DataConfig(options={"motion": motion}))
    read_all(clips, 2, batch)
    wall, processor = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        read_all(clips, batches, batch)
        wall.append(batches * batch / (time.perf_counter() - start))
        processor.append(batches * batch / (time.process_time() - used))
    model = f"{motion}, one thread, batch {batch}"
    return [row(model, "sequences/s", wall, batches * batch), row(model, "sequences/cpu-s", processor, batches * batch)]


def row(model: str, metric: str, values: list[float], count: int) -> dict[str, object]:
    """Return one row of the results file; the best run stands for the machine, all runs are kept beside it."""
    definition = "20 frames of 64x64 uint8, 2 digits; best run"
    fields = {"model": model, "data": "moving-digits", "split": "train", "metric": metric, "definition": definition}
    return {**fields, "unit": metric, "better": "higher", "mean": max(values), "runs": values, "n": count}


def run_facts(seconds: float) -> dict[str, object]:
    """Return what a results file must say: command, commit, machine, seed and date."""
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "command": "python " + " ".join(sys.argv),
        "commit": commit.stdout.strip() or None,
        "seed": 0,
        "machine": f"{os.cpu_count()} cores, {platform.processor() or platform.machine()}, {platform.system()}",
        "load": os.getloadavg()[0],
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    """Measure both motions and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=64)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-moving-digits.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    begin = time.perf_counter()
    rows = [
        line
        for motion in ("srivastava", "additive")
        for line in measure(motion, args.batches, args.batch, args.repeats)
    ]
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_suffix(".partial")
    partial.write_text(json.dumps({"rows": rows, "run": run_facts(time.perf_counter() - begin)}, indent=1) + "\n")
    partial.replace(args.out)
    for line in rows:
        print(f"{line['model']:40} {line['mean']:10,.0f} {line['unit']}")
    print(args.out)


if __name__ == "__main__":
    main()
