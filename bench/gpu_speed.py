"""How fast models train and predict on one device, each alone, on clips that lie there already: no reading is timed.

Training rows are whole steps (loss, gradient, optimiser) in the precision that `auto` takes there, launched one by
one and as CUDA graphs; a prediction row is `motion` predicting ten frames of 640x360 after four. Writes
results/gpu-speed.json. On a GPU, in one call of two minutes:

    PYTHONPATH=src python bench/gpu_speed.py --seconds 3
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

import nextframe
from nextframe.checkpoint import create_model
from nextframe.core.clip import Task
from nextframe.core.device import resolve_device
from nextframe.evaluation.run_facts import run_facts
from nextframe.models.contract import Predictor, StageLoss
from nextframe.training.optim.optimizer import build_optimizer
from nextframe.training.recipe import TrainingConfig
from nextframe.training.turns import compiled

ROOT = Path(__file__).resolve().parents[1]
WARM = 5  # steps before the clock starts
GREY = {"context": 10, "horizon": 10, "channels": 1}
TRAINED: list[tuple[str, dict[str, Any], int]] = [  # model, fields, clips a step
    ("compact", GREY | {"width": 256, "blocks": 16}, 64),
    ("convlstm", {}, 32),
    ("simvp", GREY | {"frame_height": 64, "frame_width": 64}, 16),
]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=3.0, help="a row is measured for")
    parser.add_argument("--share", type=float, default=1.0, help="of the batches, to try the script elsewhere")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "gpu-speed.json")
    options = parser.parse_args()
    started, device = time.monotonic(), resolve_device(options.device)
    torch.backends.cudnn.benchmark = True
    rows = [predicting(device, options.seconds, half) for half in (False, True)]
    for name, fields, batch in TRAINED:
        for graphs in (False, True):
            rows.append(training(name, fields, max(1, int(batch * options.share)), graphs, device, options.seconds))
            print(json.dumps(rows[-1]), flush=True)
    found = {"rows": rows, "run": run_facts(None, 0, started)}
    options.out.write_text(json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def training(
    name: str, fields: dict[str, Any], batch: int, graphs: bool, device: str, seconds: float
) -> dict[str, Any]:
    """Return a row: clips of 20 frames of 64x64 a second that `name` is trained on, its launches recorded or not."""
    torch.manual_seed(0)
    config = create_model(name).config.model_fields
    model = create_model(name, **{key: value for key, value in fields.items() if key in config}).to(device).train()
    clip = Task.forecast(10, 10).split(torch.rand(batch, 20, 1, 64, 64, device=device))
    step = step_of(model, clip, graphs, device)
    each, before = timed(step, device, seconds)
    return {
        "what": "train", "model": name, "parameters": sum(p.numel() for p in model.parameters()), "batch": batch,
        "graphs": graphs, "clips_per_s": round(batch / each, 1), "first_steps_s": round(before, 1),
        "memory_gib": memory(device),
    }  # fmt: skip


def step_of(model: Predictor, clip: Any, graphs: bool, device: str) -> Callable[[], None]:
    """Return a training step of the model's first objective on `clip`."""
    objectives = model.stages()[0].objectives
    optimizer = build_optimizer(objectives[0], TrainingConfig(steps=1000))
    plain = StageLoss(model, objectives)
    loss_of = compiled(plain, graphs=True) if graphs else plain

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss, _ = loss_of(0, clip)
        loss.backward()
        optimizer.step()

    return step


def predicting(device: str, seconds: float, half: bool) -> dict[str, Any]:
    """Return a row: frames a second of ten frames of 640x360 that `motion` predicts after four."""
    model = nextframe.load("motion").to(device).eval()
    video = torch.rand(1, 4, 3, 360, 640, device=device)

    @torch.no_grad()
    def step() -> None:
        with torch.autocast(device, torch.bfloat16, enabled=half):
            model.predict(video, 10)

    each, _ = timed(step, device, seconds)
    return {"what": "predict", "model": "motion", "precision": "bf16" if half else "32", "frames_per_s": 10 / each}


def timed(step: Callable[[], None], device: str, seconds: float) -> tuple[float, float]:
    """Return the seconds of a step, over about `seconds`, and those of the first steps together."""
    began = time.monotonic()
    for _ in range(WARM):
        step()
    wait(device)
    start, count = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        step()
        count += 1
    wait(device)
    return (time.monotonic() - start) / count, start - began


def wait(device: str) -> None:
    """Wait for the device to be done."""
    if device == "cuda":
        torch.cuda.synchronize()


def memory(device: str) -> float | None:
    """Return the most memory of the device that was taken so far, in GiB."""
    return round(torch.cuda.max_memory_allocated() / 2**30, 2) if device == "cuda" else None


if __name__ == "__main__":
    main()
