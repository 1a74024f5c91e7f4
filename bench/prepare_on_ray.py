"""Prepare clips by threads, and on a local Ray cluster by one worker, by two, and by two of which one is killed.

The bytes must be equal. Writes results/bench-prepare-ray.json: the seconds of each. With the extra [ray]:

    python bench/prepare_on_ray.py FOLDER_OF_SOURCES [--clips 20000]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path

from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.prepare import prepare
from nextframe.evaluation.run_facts import run_facts

ROOT = Path(__file__).resolve().parents[1]


def sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.iterdir())}


def above(process: Path) -> list[int]:
    """Return the ids of the processes above one, nearest first."""
    found, number = [], int(process.name)
    while number > 1:
        number = int(Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        found.append(number)
    return found


def kill_one(output: Path, killed: list[int]) -> None:
    """Kill -9 one of this process's workers when the first shard is there."""
    while not killed:
        time.sleep(0.01)
        if not list(output.glob("*.tar")):
            continue
        for process in Path("/proc").glob("[0-9]*"):
            try:
                ours = b"ray::_Hand" in (process / "cmdline").read_bytes() and os.getpid() in above(process)
            except OSError:  # it has ended
                continue
            if ours:
                os.kill(int(process.name), signal.SIGKILL)
                killed.append(len(list(output.glob("*.tar"))))
                return


def main() -> None:
    """Prepare four times, compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-prepare-ray.json")
    args = parser.parse_args()
    began, config = time.monotonic(), PrepareConfig(clips=args.clips)
    seconds: dict[str, float] = {}
    found: dict[str, dict[str, str]] = {}
    killed: list[int] = []
    ways = {"threads": (None, 2), "ray, 1": ("local", 1), "ray, 2": ("local", 2), "ray, 2, one killed": ("local", 2)}
    with tempfile.TemporaryDirectory() as scratch:
        for name, (ray, workers) in ways.items():
            output, started = Path(scratch) / name, time.monotonic()
            if "killed" in name:
                threading.Thread(target=kill_one, args=(output, killed), daemon=True).start()
            prepare(args.source, output, config, workers=workers, ray=ray, show=False)
            seconds[name], found[name] = round(time.monotonic() - started, 1), sums(output)
            print(name, seconds[name], flush=True)
    equal = all(one == found["threads"] for one in found.values()) and bool(killed)
    values = {
        "clips": args.clips, "seconds": seconds, "killed_after_shards": killed, "byte_for_byte_equal": equal,
        "run": run_facts(f"python bench/prepare_on_ray.py {args.source.name} --clips {args.clips}", 0, began),
    }  # fmt: skip
    args.out.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if equal else 1)


if __name__ == "__main__":
    main()
