"""Seven recursive frames of Ms. Pac-Man: is she still there, and where she should be?

    python bench/mspacman_far.py runs/mspacman-gan/frames NAME=RUN ... --json results/mspacman-far.json

Measures run folders, `copy-last` and `flow` on whole frames of the test episodes (`bench/mspacman_gan.py` unpacks
them), seven frames from four: PSNR over moving pixels, and what becomes of the figure that is played. Her pixels are
those of exactly her colour in the maze, which nothing else there has. Only places where she was not in the last given
frame count, so that a copy of it finds none: `found` is the share of those that are within 30 levels of her colour in
the prediction, and `right` the share of such predicted pixels that are hers.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextframe.checkpoint import resolve_model
from nextframe.core.clip import as_float
from nextframe.core.files.whole_file import write_whole
from nextframe.data import ClipSet, DataConfig, open_data
from nextframe.evaluation import clip_indices, evaluate, run_facts
from nextframe.evaluation.run_facts import command_line

HORIZON, BATCH = 7, 4
MAZE = 171  # rows above the lives and the score
HER_COLOUR = (210, 164, 74)
NEAR = 30  # levels; the orange ghost is 42 from it, walls and dots are 53


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frames", type=Path, help="the unpacked episodes, train, val and test")
    parser.add_argument("runs", nargs="+", help="NAME=RUN, in the order of the table")
    parser.add_argument("--clips", type=int, default=80, help="evenly chosen of the test episodes")
    parser.add_argument("--split", default="test")
    parser.add_argument("--json", type=Path, default=Path("results/mspacman-far.json"))
    given = parser.parse_args()
    started = time.monotonic()
    data = DataConfig(name=str(given.frames), context=4, horizon=HORIZON, options={"across_cuts": True})
    models = {"copy-last": "copy-last", "flow": "flow"} | dict(pair.split("=", 1) for pair in given.runs)
    rows: list[dict[str, Any]] = []
    for name, model in models.items():
        asked = {"metrics": ("psnr-moving", "mse"), "baselines": (), "clips": given.clips, "batch": BATCH, "name": name}
        rows += evaluate(model, data, given.split, **asked).as_json()["rows"]
    clips = open_data(data)
    figure = {name: of_her(model, clips, given.split, given.clips) for name, model in models.items()}
    facts = run_facts("python bench/" + command_line(), 0, started)
    write_whole(given.json, json.dumps({"rows": rows, "her": figure, "run": facts}, indent=1) + "\n")


def of_her(model: str, clips: ClipSet, split: Any, limit: int) -> dict[str, list[float]]:
    """Return what share of her new pixels is found, and of the predicted ones is right, at each step."""
    net = resolve_model(model).eval()
    indices = clip_indices(clips, split, limit)
    hers, painted, both = (torch.zeros(HORIZON) for _ in range(3))
    for part in np.array_split(indices, -(-len(indices) // BATCH)):
        clip = clips.read(split, part).to("cpu")
        elsewhere = ~hers_in(clip.context[:, -1:], NEAR)
        truth = hers_in(clip.target, 1) & elsewhere
        guess = hers_in(net.predict(clip.context, HORIZON), NEAR) & elsewhere
        for total, mask in ((hers, truth), (painted, guess), (both, truth & guess)):
            total += mask.sum((0, 2, 3))
    return {"found": (both / hers).tolist(), "right": (both / painted.clamp_min(1)).tolist(), "pixels": hers.tolist()}


def hers_in(frames: Tensor, near: int) -> Tensor:
    """Return which pixels (B, T, H, W) of the maze in frames (B, T, C, H, W) are within `near` levels of her colour."""
    levels = as_float(frames[..., :MAZE, :]) * 255
    gap = (levels - torch.tensor(HER_COLOUR).view(3, 1, 1)).abs().amax(dim=2)
    return gap < near


if __name__ == "__main__":
    main()
