"""What each registered model costs at its default size: parameters, multiply-accumulates, time and memory of one clip.

A clip is ten frames of 64x64, predicted from ten, grey if the model takes it; a model that does another task predicts
a clip of that, and one that comes trained a clip of what it was trained for. Each runs in a process of its own on one
thread, in float32; seconds are those that the process works, the least of several predictions, so that a busy machine
changes them little; memory is what the process holds at most beyond what it held before it predicted. Reads /proc, so
on Linux only. Writes results/model-costs.json, from which `make docs` writes the models' pages:

    OMP_NUM_THREADS=1 python bench/model_costs.py
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

import nextframe as nf
from nextframe.benchmark.entries import build, misfit
from nextframe.benchmark.run import multiply_accumulates, parameters
from nextframe.checkpoint import find_here, trained_models
from nextframe.checkpoint.folder import read_config
from nextframe.core.clip import Task
from nextframe.data import ClipSet
from nextframe.evaluation.run_facts import run_facts
from nextframe.models.contract import Predictor
from nextframe.training import ModelSection

ROOT = Path(__file__).resolve().parents[1]
SIDE, LONG = 64, 5.0  # pixels; seconds of a prediction that is not repeated
TASKS = (("10 frames from 10", 10, 10, 1), ("10 frames from 10", 10, 10, 3), ("1 frame from 5", 5, 1, 3))
TRAINED = "weights/"  # before the name of a model that comes trained
BETWEEN = "the frame between two"


def main() -> None:
    """Measure all models, or those named, each in a process of its own, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="models whose rows are measured again; without one: all")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "model-costs.json")
    options = parser.parse_args()
    if options.one:
        print(json.dumps(row(options.one)))
        return
    started, load = time.monotonic(), os.getloadavg()[0]
    every = [*nf.list_models(), *trained_names()]
    names = options.names or every
    old = json.loads(options.out.read_text()) if options.names and options.out.exists() else {"rows": []}
    rows = {each["model"]: each for each in old["rows"]} | {name: in_process(name) for name in names}
    run = run_facts("python bench/model_costs.py", 0, started)
    run |= {"threads": torch.get_num_threads(), "load": [load, os.getloadavg()[0]]}
    again = old.get("again", {}) | dict.fromkeys(options.names, run)  # whose rows another run made than the others
    ordered = [rows[name] for name in every if name in rows]
    found = {"rows": ordered, "run": old.get("run", run), "again": again}
    options.out.write_text(json.dumps(found, indent=1) + "\n")


def in_process(name: str) -> dict[str, Any]:
    """Return the row of a model, measured by a process of its own."""
    done = subprocess.run([sys.executable, __file__, "--one", name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr}")
    print(done.stdout, end="", flush=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(name: str) -> dict[str, Any]:
    """Return what the model costs."""
    torch.manual_seed(0)
    what, clips = clips_of(name)
    trained = name.startswith(TRAINED)
    model = nf.load(name.removeprefix(TRAINED)) if trained else build(ModelSection(name=name), clips).eval()
    before = resident("VmRSS")
    seconds = timed(model, clips)
    memory = resident("VmHWM") - before
    context, channels = clips.task.context, clips.frame_shape[0]
    facts = {"model": name, "what": what, "context": context, "horizon": clips.task.horizon, "channels": channels}
    counted = {"parameters": parameters(model), "macs": multiply_accumulates(model, clips)}
    taken = {"seconds": round(seconds, 4), "memory_mib": round(memory)}
    return facts | {"side": clips.frame_shape[1]} | counted | taken


def trained_names() -> list[str]:
    """Return the trained models of this checkout that have frames of one size, as weights/NAME."""
    names = [f"{TRAINED}{name}" for name in trained_models() if find_here(name)]
    return [name for name in names if trained_task(name)["size"]]


def trained_task(name: str) -> dict[str, Any]:
    """Return what a trained model, weights/NAME, was trained for."""
    found: dict[str, Any] = read_config(find_here(name.removeprefix(TRAINED)))["task"]
    return found


def trained_clips(name: str) -> tuple[str, ClipSet]:
    """Return what a trained model was trained for, in words, and clips of it."""
    task = trained_task(name)
    context, horizon, size = task["context"], task["horizon"], task["size"]
    frames = torch.rand(20, context + horizon, task["channels"], *size)
    ahead = f"{horizon} frame{'s' if horizon > 1 else ''}"
    return f"{ahead} of {size[0]}x{size[1]} from {context}", nf.clips(frames, context=context, horizon=horizon)


def clips_of(name: str) -> tuple[str, ClipSet]:
    """Return what the model predicts, in words, and clips of it."""
    if name.startswith(TRAINED):
        return trained_clips(name)
    for what, context, horizon, channels in TASKS:
        clips = nf.clips(torch.rand(20, context + horizon, channels, SIDE, SIDE), context=context, horizon=horizon)
        if misfit(ModelSection(name=name), clips) is None:
            return what, clips
    clips = nf.clips(torch.rand(20, 3, 1, SIDE, SIDE), context=2, horizon=1)
    clips.task = Task.interpolate()
    return BETWEEN, clips


def timed(model: Predictor, clips: ClipSet) -> float:
    """Return the seconds of processor time that predicting one clip takes."""
    context = torch.rand(1, clips.task.context, *clips.frame_shape)
    conditions = model.wanted(clips.task.told(context))
    best, runs = float("inf"), 5
    while runs:
        started = time.process_time()
        model.predict(context, clips.task.horizon, conditions=conditions)
        best = min(best, time.process_time() - started)
        runs = runs - 1 if best < LONG else 0
    return best


def resident(kind: str) -> float:
    """Return what this process holds, in MiB: VmRSS now, VmHWM at most."""
    found = re.search(rf"{kind}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


if __name__ == "__main__":
    main()
