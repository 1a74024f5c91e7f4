"""Nats a frame of a smaller `vcae` on validation clips of two additive digits, beside the original's 259.3.

The original's figure is of its own digits, of 403 million parameters and of 25,000 steps, so it is for orientation
only. Writes results/latent-vcae.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from nextframe.data import DataConfig
from nextframe.evaluation.run_facts import command_line, run_facts
from nextframe.training import ModelSection, Recipe, TrainingConfig, read_metrics, train

ROOT = Path(__file__).resolve().parents[1]
ORIGINAL = 259.3


def main() -> None:
    """Train, validate, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--digits", default="embedded")
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--filters", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--run", type=Path, default=Path("runs/latent-vcae"))
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "latent-vcae.json")
    options = parser.parse_args()
    started = time.monotonic()
    fields = {"hidden": options.hidden, "filters": options.filters, "frames": 64}
    data = DataConfig(
        context=5, horizon=5, size=(64, 64), options={"motion": "additive", "count": 2, "digits": options.digits}
    )
    training = TrainingConfig(
        steps=options.steps, batch=16, lr=options.lr, monitor="val/loss", keep="last", val_every=options.steps
    )
    recipe = Recipe(model=ModelSection(name="vcae", fields=fields), data=data, training=training)
    run = train(recipe, options.run, show=False)
    found = {
        "validation nats a frame": round(read_metrics(options.run)[-1]["val/loss"], 1),
        "the original's, on its own data": ORIGINAL,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "steps": options.steps,
        "frames a step": fields["frames"],
        "validation clips": training.val_clips,
    }
    facts = run_facts("python bench/" + command_line(), training.seed, started)
    options.out.write_text(json.dumps({"vcae": found, "run": facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
