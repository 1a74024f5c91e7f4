"""Compare a training step of `keras-convlstm` with the same network in Keras, and write results/bench-convlstm.json.

Two processes, one per library, take turns: a step of nextframe, a step of Keras, and so on, each with all cores to
itself. Both begin with the same weights and see the same batch of moving digits, so their losses must agree; at the
end both predict with those weights, and the largest difference of any pixel is reported. Peak memory is each
process's own. Kernels are those that a race chooses in the warm-up, or with NEXTFRAME_KERNELS=fixed those of the rule;
bfloat16 is measured only where a race says that it is faster.
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
from statistics import median
from typing import Any

import numpy as np

from nextframe.core.kernels.precision import bf16_pays
from nextframe.evaluation.run_facts import run_facts

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = {"nextframe": Path(sys.executable), "keras": ROOT / ".venv-bench" / "bin" / "python"}
GOALS = {"float32": 4.0, "bfloat16": 2.0}


class Worker:
    """A process that answers one line of JSON to each line it is sent."""

    def __init__(self, library: str, precision: str, folder: str) -> None:
        script = Path(__file__).with_name(f"convlstm_{library}.py")
        command = [str(PYTHONS[library]), str(script), precision, folder]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, what: str) -> dict[str, Any]:
        """Send a word and wait for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(what, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args} stopped with exit code {self.process.wait()}")
        found: dict[str, Any] = json.loads(answer)
        return found

    def close(self) -> None:
        """Let the process end."""
        self.process.communicate()


def compare(precision: str, rounds: int, batch: int) -> dict[str, Any]:
    """Return both libraries' steps, memory, losses and the difference of their predictions."""
    with tempfile.TemporaryDirectory() as folder:
        ours = Worker("nextframe", precision, folder)
        versions = {"nextframe": ours.ask(f"start {batch}")}  # writes the weights and the batch that both use
        peer = Worker("keras", precision, folder)
        versions["keras"] = peer.ask(f"start {batch}")
        workers = {"nextframe": ours, "keras": peer}
        steps: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
        for turn in range(rounds + 1):
            for name, worker in workers.items():
                steps[name].append(worker.ask("step"))
                print(f"{precision} {name} {'warm-up' if turn == 0 else turn}: {steps[name][-1]}", flush=True)
        memory = {name: worker.ask("memory")["bytes"] for name, worker in workers.items()}
        for worker in workers.values():
            worker.ask("predict")
            worker.close()
        frames = {name: np.load(Path(folder) / f"{name}.npy") for name in workers}
    difference = float(np.abs(frames["nextframe"] - frames["keras"]).max())
    return {"versions": versions, "steps": steps, "memory": memory, "difference": difference}


def summarise(precision: str, found: dict[str, Any], frames: int) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the rows of the results file and the verdict; the first step of each is warm-up."""
    rows, verdict = [], {"goal": GOALS[precision], "largest difference of a predicted pixel": found["difference"]}
    seconds, shortest = {}, {}
    for name, steps in found["steps"].items():
        timed = steps[1:]
        seconds[name] = median(step["seconds"] for step in timed)
        shortest[name] = [min(step[clock] for step in timed) for clock in ("seconds", "processor")]
        rows.append(
            {
                "model": f"keras-convlstm, {name}",
                "data": "moving-digits",
                "split": "train",
                "metric": "training frames/s",
                "definition": f"forward, loss, backward, Adam; {precision}; median of {len(timed)} alternating steps",
                "unit": "frames/s",
                "better": "higher",
                "mean": frames / seconds[name],
                "seconds": [step["seconds"] for step in timed],
                "processor_seconds": [step["processor"] for step in timed],
                "losses": [step["loss"] for step in steps],
                "peak_memory_bytes": found["memory"][name],
                "n": len(timed),
            }
        )
    both = zip(shortest["keras"], shortest["nextframe"], strict=True)
    verdict["times as fast, shortest steps, wall and processor"] = [theirs / ours for theirs, ours in both]
    processor = {name: median(s["processor"] for s in steps[1:]) for name, steps in found["steps"].items()}
    verdict["times as fast as Keras"] = seconds["keras"] / seconds["nextframe"]
    verdict["times as fast by processor time"] = processor["keras"] / processor["nextframe"]
    verdict["share of Keras's peak memory"] = found["memory"]["nextframe"] / found["memory"]["keras"]
    return rows, verdict


def main() -> None:
    """Run the comparisons that this machine can do and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-convlstm.json")
    args = parser.parse_args()
    begin = time.monotonic()
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {"rows": rows, "verdict": {"bfloat16": "not measured: not faster on this processor"}}
    for precision in ["float32", *(["bfloat16"] if bf16_pays("cpu") else [])]:
        found = compare(precision, args.rounds, args.batch)
        more, result["verdict"][precision] = summarise(precision, found, args.batch * 19)
        rows += more
        result["versions"] = found["versions"]
    command = "python bench/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    result["run"] = {**run_facts(command, 0, begin), "load": os.getloadavg()}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n")
    partial.replace(args.out)
    print(json.dumps(result["verdict"], indent=1))
    print(args.out)


if __name__ == "__main__":
    main()
