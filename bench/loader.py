"""Does reading videos slow training down? Steps of `keras-convlstm` on clips from video files, and on cached tensors.

A run from its first step on (nothing decoded yet, the loader's own order, no worker processes): after every third step
on the loader's next batch comes one on a batch that is in memory already. The speeds compared are those of the whole
run, with the slow first steps in it: sum of seconds by number of steps. Writes results/bench-loader.json.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import mean

from nextframe.checkpoint import create_model
from nextframe.core.seeds.seeding import seed_everything
from nextframe.data import DataConfig, open_data
from nextframe.evaluation.run_facts import run_facts
from nextframe.recipes import load_recipe
from nextframe.training.loader import Steps, training_batches
from nextframe.training.recipe import model_fields

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", help="a folder of videos")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-loader.json")
    options = parser.parse_args()
    started = time.monotonic()
    recipe = load_recipe("keras-convlstm")
    clips = open_data(DataConfig(name=options.videos, size=(64, 64), color="grey"))
    seed_everything(0, "weights")
    model = create_model(recipe.model.name, **model_fields(recipe.model, clips))
    objective = model.stages()[0].objectives[0]
    feed = training_batches(Steps(clips, "train", 0, recipe.training.batch), 0, 10**6)
    cached = next(feed)

    def step(loaded: bool) -> float:
        began = time.monotonic()
        clip = (next(feed) if loaded else cached).to("cpu")
        model.zero_grad(set_to_none=True)
        objective.loss(clip)[0].backward()
        return time.monotonic() - began

    step(loaded=False)  # warm-up
    times = {kind: [] for kind in (True, False)}
    for _ in range(options.rounds):
        for kind in (True, True, True, False):
            times[kind].append(step(kind))
    share = mean(times[False]) / mean(times[True])
    rows = [
        {"model": "keras-convlstm", "data": "video files", "metric": "seconds a step", "seconds": times[True]},
        {"model": "keras-convlstm", "data": "cached tensors", "metric": "seconds a step", "seconds": times[False]},
    ]
    facts = run_facts("python bench/loader.py VIDEOS", 0, started)
    verdict = {"speed on video files / on cached tensors, whole run": share, "goal": 0.95}
    options.out.write_text(json.dumps({"rows": rows, "verdict": verdict, "run": facts}, indent=1) + "\n")
    print(verdict)


if __name__ == "__main__":
    main()
