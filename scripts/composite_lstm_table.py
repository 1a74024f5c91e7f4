"""Train `composite-lstm` in the variants of the paper at one budget and write results/composite-lstm.json.

Future predictor and composite, conditional or not, with one and two layers, on Moving MNIST. Every variant is trained
on clips of 3 + 3 frames first (--short-steps), which are learned much sooner, then on 10 + 10 (--steps). Every run is a
run folder under --runs; a killed table goes on where it stopped. Decoders are fed their own frames when they are
measured.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from nextframe.checkpoint import load_model
from nextframe.data import DataConfig, open_data
from nextframe.evaluation import evaluate
from nextframe.evaluation.run_facts import run_facts
from nextframe.metrics import METRICS
from nextframe.models.composite_lstm import CompositeLSTM
from nextframe.models.contract import Capabilities, ModelConfig, Predictor, Request
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig
from nextframe.training.run import train

LOG = logging.getLogger("composite-lstm")
VARIANTS = {
    "future": {"decoders": "future", "conditional": False},
    "composite": {"decoders": "composite", "conditional": False},
    "conditional-future": {"decoders": "future", "conditional": True},
    "conditional-composite": {"decoders": "composite", "conditional": True},
}
PAPER = {"future": 350.2, "composite": 344.9, "conditional-future": 343.5, "conditional-composite": 341.2}  # 2 layers
METRIC = "cross-entropy"
SHORT = 3  # context frames, and target frames, in the first part of a training


class MeanFrame(Predictor):
    """The best guess that sees nothing: the mean of training frames, at every step."""

    def __init__(self, data: DataConfig, clips: int = 2000) -> None:
        super().__init__(ModelConfig())
        clip = open_data(data).read("train", np.arange(clips)).to("cpu")
        self.frame = clip.target.mean((0, 1))

    @property
    def capabilities(self) -> Capabilities:
        """A baseline: nothing to train."""
        return Capabilities(trainable=False)

    def forecast(self, request: Request) -> Tensor:
        """Return the mean frame, (B, horizon, C, H, W)."""
        return self.frame.expand(len(request.context), request.horizon, -1, -1, -1)


def recipe(
    args: argparse.Namespace, data: DataConfig, variant: str, layers: int, steps: int, start_from: Path | None
) -> Recipe:
    """Return the training of a variant: the same steps, batches and clips for all."""
    training = TrainingConfig(
        steps=steps,
        start_from=str(start_from) if start_from else None,
        batch=args.batch,
        lr=args.lr,
        schedule="cosine",
        warmup=0.05,
        grad_clip=args.grad_clip,
        seed=args.seed,
        log_every=100,
        val_every=steps,
        val_clips=64,
        checkpoint_every=500,
        keep="last",
        precision="32",
    )
    fields = {"hidden": [args.hidden] * layers, "forget_bias": args.forget_bias, **VARIANTS[variant]}
    return Recipe(model=ModelSection(name="composite-lstm", fields=fields), data=data, training=training)


def measure(args: argparse.Namespace, data: DataConfig, variant: str, layers: int) -> list[dict[str, Any]]:
    """Train a variant, or go on with it, and return its row."""
    name = f"{variant}-{layers}"
    folder = args.runs / name
    started = time.monotonic()
    short = folder.with_name(f"{name}-short") if args.short_steps else None
    if short is not None:
        shorter = data.model_copy(update={"context": SHORT, "horizon": SHORT})
        train(recipe(args, shorter, variant, layers, args.short_steps, None), short, resume=True)
    train(recipe(args, data, variant, layers, args.steps, short), folder, resume=True)
    LOG.info("%s trained in %.0f s", name, time.monotonic() - started)
    found = evaluate(folder, data, "test", metrics=(METRIC, "mse"), clips=args.clips, baselines=[], name=name)
    model = load_model(folder)
    assert isinstance(model, CompositeLSTM)
    facts = {
        "layers": layers,
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": last_line(folder)["seconds"] + (last_line(short)["seconds"] if short else 0),
        "training_loss": last_line(folder),
    }
    if model.backward_decoder is not None:
        facts["reconstruction_cross_entropy_val"] = reconstruction(model, data)
    return [{**asdict(row), **facts} for row in found.rows]


def last_line(folder: Path) -> dict[str, Any]:
    """Return the last line of a run's metrics."""
    found: dict[str, Any] = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return found


def reconstruction(model: CompositeLSTM, data: DataConfig, clips: int = 128) -> float:
    """Return the cross-entropy per frame of reconstructed contexts on the val split, from the decoder's own frames."""
    clip = open_data(data).read("val", np.arange(clips)).to("cpu")
    return float(METRICS.get(METRIC)(model.eval().reconstruct(clip.context), clip.context).mean())


def verdict(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Say for each number of layers in which order the variants come, and whether it is the paper's."""
    said: dict[str, Any] = {"paper, 2 layers (from memory, unverified)": PAPER}
    paper = sorted(PAPER, key=PAPER.__getitem__)
    for layers in (1, 2):
        means = {r["model"][:-2]: r["mean"] for r in rows if r.get("layers") == layers and r["metric"] == METRIC}
        order = sorted(means, key=means.__getitem__)
        said[f"order, {layers} layer(s), best first"] = order
        said[f"the paper's order holds, {layers} layer(s)"] = order == paper
    return said


def arguments() -> argparse.Namespace:
    """Return the budget and the places."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", default="../shared/data/mnist")
    parser.add_argument("--runs", type=Path, default=Path("runs/composite-lstm"))
    parser.add_argument("--out", type=Path, default=Path("results/composite-lstm.json"))
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--short-steps", type=int, default=0, help="before, on clips of 3 + 3 frames")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--grad-clip", type=float, default=None)
    parser.add_argument("--forget-bias", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=500, help="of the test split")
    return parser.parse_args()


def main() -> None:
    """Train, measure, compare, write."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args, begin = arguments(), time.monotonic()
    data = DataConfig(context=10, horizon=10, size=(64, 64), options={"digits": args.digits})
    first = evaluate(
        MeanFrame(data), data, "test", metrics=(METRIC, "mse"), clips=args.clips, name="mean-frame", baselines="all"
    )
    rows: list[dict[str, Any]] = [asdict(row) for row in first.rows]
    for layers in (1, 2):
        for variant in VARIANTS:
            rows += measure(args, data, variant, layers)
    budget = {k: getattr(args, k) for k in ("short_steps", "steps", "batch", "hidden", "lr", "forget_bias", "seed")} | {
        "optimizer": "adam, cosine"
    }
    command = "python scripts/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    result = {"rows": rows, "verdict": verdict(rows), "budget": budget, "run": run_facts(command, args.seed, begin)}
    partial = args.out.with_suffix(".partial")
    partial.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    partial.replace(args.out)


if __name__ == "__main__":
    main()
