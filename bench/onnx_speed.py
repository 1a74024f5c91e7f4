"""`motion` and `compact` in ONNX Runtime beside torch: the same clips in turn, on the same threads, in float32.

Each is exported as `nextframe export` does, which also checks that the file predicts what the model does. The weights
of `compact` are its initial ones: its speed does not depend on them. Writes results/bench-onnx.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import onnx
import onnxruntime
import torch
from torch import Tensor

import nextframe
from nextframe.checkpoint import create_model, model_name
from nextframe.evaluation.run_facts import run_facts
from nextframe.layers.folding import folded
from nextframe.models.contract import Predictor, TrainedTask
from nextframe.publish import export

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-onnx.json")
    options = parser.parse_args()
    started = time.monotonic()
    torch.set_num_threads(options.threads)
    rows = []
    for model, size in ((motion(), (144, 256)), (compact(), (64, 64))):
        rows.append(compared(model.eval(), size, options.rounds))
        print(json.dumps({key: rows[-1][key] for key in ("model", "size", "ratio")}), flush=True)
    versions = {library.__name__: library.__version__ for library in (torch, onnx, onnxruntime)}
    facts = run_facts(f"python bench/onnx_speed.py --threads {options.threads}", 0, started)
    result = {"rows": rows, "versions": versions, "run": {**facts, "threads": options.threads, "load": os.getloadavg()}}
    options.out.write_text(json.dumps(result, indent=1) + "\n")


def motion() -> Predictor:
    """Return `motion` for one frame: in a file each further one is written out, which takes the exporter minutes."""
    model = nextframe.load("motion")
    model.trained = TrainedTask(context=4, horizon=1, size=(144, 256), channels=3)
    return model


def compact() -> Predictor:
    """Return `compact` as its recipe for moving digits has it: ten frames of 64x64 after ten."""
    torch.manual_seed(0)
    model = create_model("compact", context=10, horizon=10, channels=1)
    model.trained = TrainedTask(context=10, horizon=10, size=(64, 64), channels=1, data="moving-digits")
    return model


def compared(model: Predictor, size: tuple[int, int], rounds: int) -> dict[str, Any]:
    """Return the seconds of a prediction of both, run in turn after one run each, and how far the file is off."""
    with tempfile.TemporaryDirectory() as folder:
        found = export(model, Path(folder) / "model.onnx", size=size)
        session = opened(found.path)
    net = folded(model)
    task = model.trained
    assert task is not None
    assert found.kind == "direct", f"{model_name(model)} is exported as a step"
    [(name, shape)] = found.inputs.items()
    context = torch.rand(1, *shape[1:], generator=torch.Generator().manual_seed(0))
    frames = next(iter(found.outputs.values()))[1]
    ways = {
        "torch": lambda: predicted(net, context, frames),
        "onnxruntime": lambda: session.run(None, {name: context.numpy()}),
    }
    seconds = turns(ways, rounds)
    middle = {way: median(times) for way, times in seconds.items()}
    return {
        "model": model_name(model),
        "what": f"{frames} frames after {shape[1]}",
        "size": f"{size[1]}x{size[0]}",
        "seconds": {way: {"min": min(t), "median": middle[way], "max": max(t)} for way, t in seconds.items()},
        "ratio": middle["torch"] / middle["onnxruntime"],
        "ratio of the shortest": min(seconds["torch"]) / min(seconds["onnxruntime"]),
        "largest difference of a pixel": found.difference,
    }


def opened(path: Path) -> onnxruntime.InferenceSession:
    """Return the file in ONNX Runtime, on as many threads as torch has."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def predicted(net: Predictor, context: Tensor, frames: int) -> Tensor:
    """Return the model's own prediction, with the options that the file has."""
    with torch.no_grad():
        return net.predict(context, frames, options=dict(net.Options.in_export))


def turns(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each way, which take turns after one run each."""
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            if turn:
                times[way].append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    main()
