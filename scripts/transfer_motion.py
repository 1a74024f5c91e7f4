"""Does predicting frames help to say how real clips are played? Writes results/transfer-motion-clips.json.

Three findings of Srivastava, Mansimov & Salakhutdinov 2015, on the classes of `motion-clips`, which one frame cannot
tell: pretraining beats random weights; it helps less on optical flow; unrelated videos pretrain as well. Small
composite LSTMs are trained without labels, on frames and on flow, of the very videos whose clips are classified (their
train split) and of unrelated ones, with as many clips and steps; each seeds classifiers (`nextframe.transfer`).
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.cli.transfer import parse_amounts
from nextframe.core.files.whole_file import write_whole
from nextframe.data import DataConfig, clips, open_data
from nextframe.data.from_torch import TorchClips
from nextframe.data.sets.motion_clips import SIZE, MotionClips
from nextframe.evaluation.run_facts import run_facts
from nextframe.media.fit import fit_frame
from nextframe.media.reader import open_source
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig
from nextframe.training.run import train
from nextframe.transfer import ClassifierConfig, TransferConfig, transfer
from nextframe.transfer.experiment import open_windows
from nextframe.transfer.result import TransferRow, interval, joined

LOG = logging.getLogger("transfer-motion")
INPUTS: dict[str, dict[str, Any]] = {"frames": {"color": "grey"}, "flow": {"kind": "flow", "max_flow": 4.0}}
MODEL: dict[str, dict[str, Any]] = {"frames": {}, "flow": {"loss": "squared", "zero": 128 / 255}}
SHARES = {"val_share": 0.1, "test_share": 0.4}
CONTEXT, HORIZON = 6, 6
MOST_FRAMES = 120  # of a video
SPANS = 4  # that are classified of each video
VIDEOS = ["../shared/data/videos/*/*", "../shared/motion/data/real_*.mp4"]
UNRELATED = ["../shared/motion/data/doom_*.mp4"]
TWICE = [
    *("carphone_distorted.mp4", "chroma1.mp4", "luma.mp4", "small_bunny_1080p_60fps.mp4"),
    *("big_buck_bunny_432_433.webm", "stream-of-water.webm", "stream-of-water-audioless.webm"),
]
SEVERAL = ("fine-tuned", "frozen", "probe")
ONCE = ("random", "single-frame")  # the same for every pretraining


def small_copies(patterns: Sequence[str], skipped: Sequence[str], folder: Path) -> str:
    """Write the first frames of every video of `patterns` at SIZE to `folder`, unless they are there; return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(path for pattern in patterns for path in Path().glob(pattern)):
        copy = folder / f"{path.parent.name}__{path.stem}.npy"
        if path.name in skipped or copy.exists():
            continue
        frames = [fit_frame(frame, SIZE, "crop") for frame in islice(open_source(path).frames(), MOST_FRAMES)]
        np.save(copy, np.stack([frame.permute(1, 2, 0).numpy() for frame in frames]))
    return str(folder)


def unlabelled(args: argparse.Namespace, root: str, kind: str) -> TorchClips:
    """Return `args.clips` clips of the train split of `root`, in memory, evenly chosen."""
    data = DataConfig(name=root, context=CONTEXT, horizon=HORIZON, size=SIZE, options=SHARES, **INPUTS[kind])
    whole = open_data(data)
    count = whole.count("train") or args.clips
    chosen = np.unique(np.linspace(0, count - 1, args.clips).astype(np.int64))
    parts = [whole.read("train", chosen[first : first + 64]).frames for first in range(0, len(chosen), 64)]
    frames = np.concatenate([part.numpy() for part in parts])
    held = max(1, len(frames) // 20)
    return clips(frames[held:], CONTEXT, HORIZON, val=frames[:held], test=frames[:held])


def pretrained(args: argparse.Namespace, corpus: str, root: str, kind: str) -> Path:
    """Train a model on `root` without labels, unless it is there; return its run folder."""
    folder: Path = args.runs / f"{corpus}-{kind}"
    if (folder / "model" / "config.json").exists():
        return folder
    fields = {"hidden": [args.hidden], "conditional": False, "forget_bias": 4.0, **MODEL[kind]}
    budget = {"steps": args.steps, "batch": 32, "lr": 2e-3, "schedule": "cosine", "warmup": 0.05, "grad_clip": 50.0}
    rest = {"precision": "32", "keep": "last", "val_clips": 64, "val_every": args.steps, "log_every": 50}
    recipe = Recipe(
        model=ModelSection(name="composite-lstm", fields=fields),
        data=DataConfig(name="clips", context=CONTEXT, horizon=HORIZON, size=SIZE, **INPUTS[kind]),
        training=TrainingConfig(**budget, **rest),
    )
    train(recipe, folder, clips=unlabelled(args, root, kind), show=False)
    LOG.info("%s is trained", folder)
    return folder


def sources(args: argparse.Namespace) -> dict[str, dict[str, int]]:
    """Return how many videos and labelled clips each split has."""
    data = DataConfig(name="motion-clips", size=SIZE, color="grey", options=labelled(args))
    found = open_windows(data, settings(args))
    assert isinstance(found, MotionClips)
    counts = {split: range(found.count(split)) for split in ("train", "val", "test")}
    return {s: {"videos": len({found.file(s, i) for i in own}), "clips": len(own)} for s, own in counts.items()}


def labelled(args: argparse.Namespace) -> dict[str, Any]:
    """Return the options of `motion-clips`."""
    return {"root": args.root, "spans": SPANS, **SHARES}


def settings(args: argparse.Namespace, **fields: Any) -> TransferConfig:
    """Return the experiment: windows of `args.window` frames, half a window apart."""
    return TransferConfig(window=args.window, stride=args.window // 2, **fields)


def gains(rows: Sequence[TransferRow]) -> list[dict[str, Any]]:
    """Return what each pretraining gains over random weights with the same labelled clips, draw by draw."""
    random = {row.per_class: row.accuracies for row in rows if row.method == "random"}
    found = []
    for row in rows:
        if row.method in ("fine-tuned", "frozen"):
            less = [a - b for a, b in zip(row.accuracies, random[row.per_class], strict=True)]
            amount = "all" if row.per_class is None else row.per_class
            facts = {"model": row.model, "method": row.method, "clips_per_class": amount}
            found.append({**facts, "mean": round(float(np.mean(less)), 5), "ci95": interval(less)})
    return found


def main() -> None:
    """Pretrain, classify, write."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args, begin = arguments(), time.monotonic()
    args.root = small_copies(args.videos, args.skip, args.runs / "videos")
    corpora = {"same": args.root, "unrelated": small_copies(args.unrelated, args.skip, args.runs / "unrelated")}
    budget = {name: getattr(args, name) for name in ("clips", "steps", "hidden", "window", "draws", "classifier_steps")}
    result: dict[str, Any] = {"videos": sources(args), "budget": budget, "inputs": {}}
    command = "python scripts/" + " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    LOG.info("%s", result["videos"])
    fitting = ClassifierConfig(steps=args.classifier_steps, precision="32")
    for kind, own in INPUTS.items():
        data = DataConfig(name="motion-clips", size=SIZE, options=labelled(args), **own)
        found = []
        for number, (corpus, root) in enumerate(corpora.items()):
            methods, amounts = (*SEVERAL, *ONCE) if number == 0 else SEVERAL, parse_amounts(args.per_class)
            config = settings(args, per_class=amounts, draws=args.draws, methods=methods, classifier=fitting)
            found.append(transfer([str(pretrained(args, corpus, root, kind))], data, config, show=False))
        whole = joined(found)
        result["inputs"][kind] = {"rows": [row.as_json() for row in whole.rows], "gains": gains(whole.rows)}
        for row in whole.rows:
            LOG.info("%s: %s", kind, row)
        result["run"] = run_facts(command, 0, begin)
        write_whole(args.out, json.dumps(result, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Return the videos, the budget and the places."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--videos", nargs="+", default=VIDEOS, help="patterns of the videos that are classified")
    parser.add_argument("--unrelated", nargs="+", default=UNRELATED, help="patterns of videos of something else")
    parser.add_argument("--skip", nargs="*", default=TWICE, help="names of files that show what another shows")
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer-motion"))
    parser.add_argument("--out", type=Path, default=Path("results/transfer-motion-clips.json"))
    parser.add_argument("--clips", type=int, default=600, help="clips without labels that each model is trained on")
    parser.add_argument("--steps", type=int, default=200, help="training steps of each model")
    parser.add_argument("--window", type=int, default=12, help="frames that a class is recognised from")
    parser.add_argument("--hidden", type=int, default=96, help="units")
    parser.add_argument("--per-class", default="4,all", help="labelled clips of each class")
    parser.add_argument("--draws", type=int, default=4, help="choices of the labelled clips")
    parser.add_argument("--classifier-steps", type=int, default=40)
    return parser.parse_args()


if __name__ == "__main__":
    main()
