"""Does predicting frames help to say how real clips are played? Writes results/transfer-motion-clips.json.

Three findings of Srivastava, Mansimov & Salakhutdinov 2015, on the classes of `motion-clips`, which one frame cannot
tell: pretraining beats random weights; it helps less on optical flow; unrelated videos pretrain as well. Small
composite LSTMs are trained without labels, on frames and on flow, of the very videos whose clips are classified (those
of the train folds) and of unrelated ones, with as many clips and steps; each seeds classifiers (`nextframe.transfer`).

Videos are dealt to folds, each of which is the test split once; all clips of a video are in one fold. So every video is
tested once, by classifiers that never saw it, and intervals are of the mean over folds.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.checkpoint import create_model, save_model
from nextframe.core.files.whole_file import write_whole
from nextframe.core.seeds.seeding import numpy_generator, seed_everything
from nextframe.data import DataConfig, clips, open_data
from nextframe.data.from_torch import TorchClips
from nextframe.data.sets.motion_clips import CLASSES, SIZE, MotionClips
from nextframe.evaluation.run_facts import command_line, run_facts
from nextframe.media.fit import fit_frame
from nextframe.media.reader import open_source
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig
from nextframe.training.run import train
from nextframe.transfer import ClassifierConfig, TransferConfig, transfer
from nextframe.transfer.experiment import open_windows
from nextframe.transfer.result import interval

LOG = logging.getLogger("transfer-motion")
INPUTS: dict[str, dict[str, Any]] = {"frames": {"color": "grey"}, "flow": {"kind": "flow", "max_flow": 4.0}}
MODEL: dict[str, dict[str, Any]] = {"frames": {}, "flow": {"loss": "squared", "zero": 128 / 255}}
CONTEXT, HORIZON = 4, 4
MOST_FRAMES = 400  # of a video
SPANS, LEAST_MOTION = 6, 0.005  # that are classified of each video; mean change from frame to frame
VIDEOS = [
    *("../shared/data/videos/*/*", "../shared/motion/data/real_*.mp4", "../shared/data/frames/davis_*"),
    *("../shared/data/frames/hmdb51_*", "../shared/data/vp_benchmark_samples/savp_*"),
    "../shared/data/gifs_misc/deepmind*/*_rgb.gif",
]
UNRELATED = ["../shared/motion/data/doom_*.mp4"]
TWICE = [
    *("carphone_distorted.mp4", "chroma1.mp4", "luma.mp4", "small_bunny_1080p_60fps.mp4"),
    *("big_buck_bunny_432_433.webm", "stream-of-water.webm", "stream-of-water-audioless.webm"),
]
SEVERAL = ("fine-tuned", "frozen", "probe")


def small_copies(patterns: Sequence[str], skipped: Sequence[str], folder: Path) -> list[Path]:
    """Write the first frames of every video of `patterns` at SIZE to `folder`, unless they are there; return them."""
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for path in sorted(path for pattern in patterns for path in Path().glob(pattern) if path.name not in skipped):
        copy = folder / f"{path.parent.name}__{path.name}.npy"
        if not copy.exists():
            frames = [fit_frame(frame, SIZE, "crop") for frame in islice(open_source(path).frames(), MOST_FRAMES)]
            np.save(copy, np.stack([frame.permute(1, 2, 0).numpy() for frame in frames]))
        copies.append(copy)
    return copies


def moving(args: argparse.Namespace, videos: Sequence[Path]) -> list[Path]:
    """Return the videos of which some span is long enough and moves: those that are classified."""
    found = opened(args, args.runs / "videos", "frames", {"val_share": 0.0, "test_share": 0.0})
    names = {found.file("train", clip) for clip in range(found.count("train"))}
    return [video for video in videos if video.name in names]


def folds(args: argparse.Namespace, videos: Sequence[Path]) -> list[Path]:
    """Deal the videos to folds by chance; return a folder for each, with the test videos in it and the train ones."""
    order = numpy_generator(0, "folds").permutation(len(videos))
    made = []
    for fold in range(args.folds):
        for place, number in enumerate(order.tolist()):
            split = "test" if place % args.folds == fold else "train"
            link = args.runs / f"fold-{fold + 1}" / split / videos[number].name
            link.parent.mkdir(parents=True, exist_ok=True)
            if not link.exists():
                link.hardlink_to(videos[number])
        made.append(args.runs / f"fold-{fold + 1}")
    return made


def unlabelled(args: argparse.Namespace, root: Path, kind: str) -> TorchClips:
    """Return `args.clips` clips of the train split of `root`, in memory, evenly chosen."""
    data = DataConfig(name=str(root), context=CONTEXT, horizon=HORIZON, size=SIZE, **INPUTS[kind])
    whole = open_data(data)
    count = whole.count("train") or args.clips
    chosen = np.unique(np.linspace(0, count - 1, args.clips).astype(np.int64))
    parts = [whole.read("train", chosen[first : first + 64]).frames for first in range(0, len(chosen), 64)]
    frames = np.concatenate([part.numpy() for part in parts])
    held = max(1, len(frames) // 20)
    return clips(frames[held:], CONTEXT, HORIZON, val=frames[:held], test=frames[:held])


def fields(args: argparse.Namespace, kind: str) -> dict[str, Any]:
    """Return the fields of the models on one kind of input."""
    return {"hidden": [args.hidden], "conditional": False, "forget_bias": 4.0, **MODEL[kind]}


def pretrained(args: argparse.Namespace, name: str, root: Path, kind: str) -> Path:
    """Train a model on `root` without labels, unless it is there; return its run folder."""
    folder: Path = args.runs / f"{name}-{kind}"
    if (folder / "model" / "config.json").exists():
        return folder
    budget = {"steps": args.steps, "batch": 32, "lr": 2e-3, "schedule": "cosine", "warmup": 0.05, "grad_clip": 50.0}
    rest = {"precision": "32", "keep": "last", "val_clips": 64, "val_every": args.steps, "log_every": 50}
    recipe = Recipe(
        model=ModelSection(name="composite-lstm", fields=fields(args, kind)),
        data=DataConfig(name="clips", context=CONTEXT, horizon=HORIZON, size=SIZE, **INPUTS[kind]),
        training=TrainingConfig(**budget, **rest),
    )
    train(recipe, folder, clips=unlabelled(args, root, kind), show=False)
    LOG.info("%s is trained", folder)
    return folder


def untrained(args: argparse.Namespace, kind: str) -> Path:
    """Return the folder of a model with random weights, whose features are probed as those of the others."""
    folder: Path = args.runs / "random" / f"untrained-{kind}"
    if not folder.exists():
        channels = 2 if kind == "flow" else 1
        seed_everything(0, "untrained")
        size = {"channels": channels, "frame_height": SIZE[0], "frame_width": SIZE[1]}
        save_model(create_model("composite-lstm", **fields(args, kind), **size), folder)
    return folder


def opened(args: argparse.Namespace, root: Path, kind: str, more: dict[str, Any]) -> MotionClips:
    """Return the classified clips of `root`."""
    found = open_windows(labelled(root, kind, more), settings(args))
    assert isinstance(found, MotionClips)
    return found


def labelled(root: Path, kind: str, more: dict[str, Any]) -> DataConfig:
    """Return the data set of the classified clips of `root`."""
    options = {"root": str(root), "spans": SPANS, "least_motion": LEAST_MOTION, **more}
    return DataConfig(name="motion-clips", size=SIZE, options=options, **INPUTS[kind])


def settings(args: argparse.Namespace, **more: Any) -> TransferConfig:
    """Return the experiment: windows of `args.window` frames, half a window apart."""
    return TransferConfig(window=args.window, stride=args.window // 2, **more)


def rows_of_fold(args: argparse.Namespace, fold: Path, kind: str, unrelated: Path) -> dict[str, float]:
    """Return the accuracy of every classifier on the test videos of a fold, the mean over its draws."""
    fitting = ClassifierConfig(steps=args.classifier_steps, precision="32")
    models = {
        "pretrained on the same videos": pretrained(args, fold.name, fold, kind),
        "pretrained on unrelated videos": pretrained(args, "unrelated", unrelated, kind),
        "random weights": untrained(args, kind),
    }
    found = {}
    for number, (name, model) in enumerate(models.items()):
        methods = ("random", "probe", "single-frame") if number == 2 else SEVERAL
        config = settings(args, per_class=(None,), draws=args.draws, methods=methods, classifier=fitting)
        for row in transfer([str(model)], labelled(fold, kind, {}), config, show=False).rows:
            method = "fine-tuned" if row.method == "random" else row.method
            found["one frame" if method == "single-frame" else f"{name}, {method}"] = row.mean
    return found


def over_folds(values: Sequence[float]) -> dict[str, Any]:
    """Return the mean over folds, its 95 % interval by Student's t, and each fold's value."""
    mean = round(float(np.mean(values)), 5)
    return {"mean": mean, "ci95": interval(values), "per_fold": [round(value, 5) for value in values]}


def gains(found: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Return what each pretraining gains over random weights with the same classifier, fold by fold."""
    pairs = [(name, f"random weights, {name.rpartition(', ')[2]}") for name in found[0] if name.startswith("pre")]
    pairs = [(name, other if other in found[0] else "random weights, fine-tuned") for name, other in pairs]
    return {f"{name} less {other}": over_folds([fold[name] - fold[other] for fold in found]) for name, other in pairs}


def main() -> None:
    """Pretrain, classify, write."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args, begin = arguments(), time.monotonic()
    videos = moving(args, small_copies(args.videos, args.skip, args.runs / "videos"))
    small_copies(args.unrelated, args.skip, args.runs / "unrelated")
    parts = folds(args, videos)
    counts = [opened(args, part, "frames", {}) for part in parts]
    budget = ("clips", "steps", "hidden", "window", "draws", "classifier_steps", "folds")
    result: dict[str, Any] = {
        "videos": [video.stem for video in videos],
        "clips": sum(part.count("test") for part in counts),
        "chance": 1 / len(CLASSES),
        "budget": {name: getattr(args, name) for name in budget},
        "inputs": {},
    }
    LOG.info("%d videos, %d clips", len(videos), result["clips"])
    for kind in args.inputs:
        found = [rows_of_fold(args, part, kind, args.runs / "unrelated") for part in parts]
        rows = {name: over_folds([fold[name] for fold in found]) for name in found[0]}
        result["inputs"][kind] = {"accuracy": rows, "gains": gains(found)}
        for name, row in rows.items():
            LOG.info("%s: %s %s", kind, name, row)
        result["run"] = run_facts("python scripts/" + command_line(), 0, begin)
        write_whole(args.out, json.dumps(result, indent=1) + "\n")


def arguments() -> argparse.Namespace:
    """Return the videos, the budget and the places."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--videos", nargs="+", default=VIDEOS, help="patterns of the videos that are classified")
    parser.add_argument("--unrelated", nargs="+", default=UNRELATED, help="patterns of videos of something else")
    parser.add_argument("--skip", nargs="*", default=TWICE, help="names of files that show what another shows")
    parser.add_argument("--runs", type=Path, default=Path("runs/transfer-motion"))
    parser.add_argument("--out", type=Path, default=Path("results/transfer-motion-clips.json"))
    parser.add_argument("--inputs", nargs="+", choices=list(INPUTS), default=list(INPUTS), help="what models see")
    parser.add_argument("--folds", type=int, default=5, help="parts of the videos, each tested once")
    parser.add_argument("--clips", type=int, default=1500, help="clips without labels that each model is trained on")
    parser.add_argument("--steps", type=int, default=500, help="training steps of each model")
    parser.add_argument("--window", type=int, default=8, help="frames that a class is recognised from")
    parser.add_argument("--hidden", type=int, default=128, help="units")
    parser.add_argument("--draws", type=int, default=1, help="classifiers of each fold")
    parser.add_argument("--classifier-steps", type=int, default=150)
    return parser.parse_args()


if __name__ == "__main__":
    main()
