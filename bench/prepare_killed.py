"""Prepare clips in one run, and again with two kill -9 on the way: the bytes must be equal.

Writes results/bench-prepare-killed.json: seconds, and the share of clips that each rule kept.

    python bench/prepare_killed.py FOLDER_OF_SOURCES [--clips 20000]
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nextframe.data.prepared.manifest import read_manifest
from nextframe.evaluation.run_facts import run_facts

ROOT = Path(__file__).resolve().parents[1]
KILLS = (0.25, 0.6)  # parts of the shards that are there when the process is killed


def start(source: Path, output: Path, clips: int, workers: int) -> subprocess.Popen[bytes]:
    """Start `nextframe prepare` as a process of its own."""
    words = ["prepare", source, "-o", output, "--clips", clips, "--set", f"run.workers={workers}", "--quiet"]
    return subprocess.Popen([sys.executable, "-m", "nextframe", *map(str, words)], stdout=subprocess.DEVNULL)


def kill_when(process: subprocess.Popen[bytes], output: Path, shards: int) -> int:
    """Kill -9 the process when so many shards are there; return how many there are then."""
    while len(list(output.glob("*.tar"))) < shards:
        if process.poll() is not None:
            sys.exit("the process ended before it could be killed")
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return len(list(output.glob("*.tar")))


def sums(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file."""
    files = sorted(f for f in folder.rglob("*") if f.is_file())
    return {f.relative_to(folder).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def main() -> None:
    """Run, kill, resume, compare and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-prepare-killed.json")
    args = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        whole, broken = Path(scratch) / "whole", Path(scratch) / "broken"
        _, status, used = os.wait4(start(args.source, whole, args.clips, workers=1).pid, 0)
        if status:
            sys.exit(1)
        seconds, processor = time.monotonic() - began, used.ru_utime + used.ru_stime
        shards = len(list(whole.glob("*.tar")))
        at = [kill_when(start(args.source, broken, args.clips, 2), broken, max(1, int(k * shards))) for k in KILLS]
        if start(args.source, broken, args.clips, workers=2).wait():
            sys.exit(1)
        equal, manifest = sums(whole) == sums(broken), read_manifest(whole)
    rows = [row(split, rule, share, found["clips"]) for split, found in manifest["statistics"].items()
            for rule, share in found["share"].items()]  # fmt: skip
    clips = sum(manifest["splits"].values())
    rows.append({**row("all", "seconds of the unbroken run, one worker", seconds, clips), "unit": "s"})
    rows.append({**row("all", "processor seconds of that run", processor, clips), "unit": "s"})
    killed = {"after_shards": at, "of_shards": shards, "byte_for_byte_equal": equal}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    facts = run_facts(f"python bench/prepare_killed.py {args.source.name} --clips {args.clips}", 0, began)
    args.out.write_text(json.dumps({"rows": rows, "killed": killed, "run": facts}, indent=1) + "\n", encoding="utf-8")
    for line in rows:
        print(f"{line['split']:6} {line['metric']:42} {line['mean']:10.4f} {line['unit']}  n={line['n']}")
    print(killed)
    sys.exit(0 if equal else 1)


def row(split: str, metric: str, mean: float, count: int) -> dict[str, object]:
    """Return one row of the results file."""
    return {"data": "sources", "split": split, "metric": metric, "unit": "share of clips", "mean": mean, "n": count}


if __name__ == "__main__":
    main()
