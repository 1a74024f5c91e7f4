"""Measure random clips from H.264 videos against OpenCV's seeking, and write results/bench-video-clips.json.

A clip: 15 consecutive frames of one file, as RGB cropped to 128x128. OpenCV keeps every file open, sets
CAP_PROP_POS_FRAMES and reads 15 frames. Ours reads the same clips one by one with its cache of frames off (random), and
batches of 16 in the order of training with the cache on (loader). Rounds of all three alternate, so that they meet the
same machine. Every frame of ours is compared with a full decode of its file.
"""

from __future__ import annotations

import argparse
import json
import time
import zlib
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import torch

from nextframe.core.clip import Clip
from nextframe.data import DataConfig
from nextframe.data.clipset import batch_indices
from nextframe.data.folder.clips import SourceClips, open_path
from nextframe.evaluation.run_facts import run_facts
from nextframe.media.fit import fit_image
from nextframe.media.reader import open_source
from nextframe.media.source import Image
from nextframe.media.video.index import index_source

ROOT = Path(__file__).resolve().parents[1]
SIZE, LENGTH, BATCH = (128, 128), 15, 16


class OpenCv:
    """OpenCV's way: one open capture a file."""

    def __init__(self, files: dict[str, Path]) -> None:
        self.captures = {name: cv2.VideoCapture(str(path)) for name, path in files.items()}

    def read(self, name: str, first: int) -> list[Image]:
        """Return the clip at `first`, RGB at SIZE; fewer frames where OpenCV finds fewer."""
        capture, frames = self.captures[name], []
        capture.set(cv2.CAP_PROP_POS_FRAMES, first)
        for _ in range(LENGTH):
            good, frame = capture.read()
            if not good:
                break
            frames.append(fit_image(np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)), SIZE, "crop"))
        return frames


def h264_files(folder: Path, target: Path) -> dict[str, Path]:
    """Link the H.264 files of `folder` into `target` and return them by name."""
    files = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if index_source(path).codec == "h264":
            name = f"{len(files):02}_{path.name}"
            (target / name).symlink_to(path.resolve())
            files[name] = target / name
    return files


def open_clips(folder: Path, cache_mb: int) -> SourceClips:
    """Return all clips of the folder as one split."""
    options = {"across_cuts": True, "val_share": 0.0, "test_share": 0.0, "cache_mb": cache_mb}
    return open_path(DataConfig(name=str(folder), context=10, horizon=5, size=SIZE, options=options))


def sums(clip: Clip) -> list[list[int]]:
    """Return a checksum of every frame of every clip of a batch."""
    frames = clip.frames.permute(0, 1, 3, 4, 2).contiguous().numpy()
    return [[zlib.crc32(frame.tobytes()) for frame in one] for one in frames]


def full_decode(path: Path) -> list[int]:
    """Return the checksum of every frame of a file, decoded from its start."""
    frames = open_source(path, color="rgb").decode()
    return [zlib.crc32(np.ascontiguousarray(fit_image(frame, SIZE, "crop")).tobytes()) for frame in frames]


class Clock:
    """Adds up wall and processor seconds of the blocks it is entered for."""

    def __init__(self) -> None:
        self.rounds: list[tuple[float, float]] = []

    def __enter__(self) -> None:
        self._start = time.perf_counter(), time.process_time()

    def __exit__(self, *_: object) -> None:
        self.rounds.append((time.perf_counter() - self._start[0], time.process_time() - self._start[1]))


class Race:
    """The three readers on the same files, in alternating rounds; what they read is kept as checksums."""

    def __init__(self, folder: Path, files: dict[str, Path]) -> None:
        self.random, self.loader, self.opencv = open_clips(folder, 1), open_clips(folder, 128), OpenCv(files)
        self.table = self.random.tables["train"]
        self.clocks = {"random": Clock(), "opencv": Clock(), "loader": Clock()}
        self.ours: list[tuple[int, list[int]]] = []  # clip, checksums of its frames

    def round(self, number: int, clips: int, batches: int) -> None:
        """Read `clips` random clips with OpenCV and with ours, and `batches` batches of the loader's order."""
        chosen = np.random.default_rng(number).integers(0, len(self.table), clips)
        with self.clocks["random"]:
            read = [self.random.read("train", chosen[i : i + 1]) for i in range(clips)]
        self.ours += [(int(i), sums(clip)[0]) for i, clip in zip(chosen, read, strict=True)]
        places = [(self.random.source("train", int(i)), int(self.table.firsts[i])) for i in chosen]
        with self.clocks["opencv"]:
            for place in places:
                self.opencv.read(*place)
        order = [batch_indices(self.loader, "train", 0, number * batches + i, BATCH) for i in range(batches)]
        with self.clocks["loader"]:
            loaded = [self.loader.read("train", indices) for indices in order]
        for indices, clip in zip(order, loaded, strict=True):
            self.ours += zip(indices.tolist(), sums(clip), strict=True)

    def wrong_frames(self) -> tuple[int, int]:
        """Return how many of our frames differ from a full decode, and how many were compared."""
        truth = {m.name: full_decode(m.path) for m in self.random.contents.members}
        wrong = 0
        for clip, found in self.ours:
            first = int(self.table.firsts[clip])
            right = truth[self.random.source("train", clip)][first : first + LENGTH]
            wrong += sum(a != b for a, b in zip(found, right, strict=True))
        return wrong, len(self.ours) * LENGTH


def row(model: str, metric: str, definition: str, values: list[float], n: int) -> dict[str, object]:
    """Return one row of the results file: the mean over rounds, and each round."""
    fixed = {"data": "H.264 videos", "split": "all", "unit": metric, "better": "higher"}
    mean = float(np.mean(values))
    return {"model": model, "metric": metric, "definition": definition, **fixed, "mean": mean, "runs": values, "n": n}


DEFINITIONS = {
    "random": "nextframe, random clips one by one, no cache of frames",
    "opencv": "OpenCV VideoCapture, the same random clips, CAP_PROP_POS_FRAMES, files kept open",
    "loader": "nextframe, batches of 16 in the order of training, from a cold start",
}


def rows(race: Race, clips: int, batches: int) -> list[dict[str, object]]:
    """Return rows of clips per wall second and per processor second, and how often we are as fast as OpenCV."""
    counts = {"random": clips, "opencv": clips, "loader": batches * BATCH}
    found = []
    for name, clock in race.clocks.items():
        for number, metric in enumerate(("clips/s", "clips/cpu-s")):
            rounds = np.array(clock.rounds)[:, number]
            line = row(name, metric, DEFINITIONS[name], (counts[name] / rounds).tolist(), counts[name] * len(rounds))
            found.append({**line, "mean": counts[name] * len(rounds) / float(rounds.sum())})
    speed = {(line["model"], line["metric"]): line["mean"] for line in found}
    for name in ("random", "loader"):
        for metric in ("clips/s", "clips/cpu-s"):
            ratio = speed[name, metric] / speed["opencv", metric]  # type: ignore[operator]
            found.append(row(name, f"times OpenCV's {metric}", DEFINITIONS[name], [ratio], counts[name]))
    return found


def main() -> None:
    """Run the race and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT.parent / "shared" / "data" / "videos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-video-clips.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        files = h264_files(args.folder, Path(folder))
        race = Race(Path(folder), files)
        for number in range(args.rounds):
            race.round(number, args.clips, args.batches)
        wrong, compared = race.wrong_frames()
    lines = rows(race, args.clips, args.batches)
    lines.append(row("nextframe", "frames that differ", "from a full decode of the file", [wrong], compared))
    lines[-1]["better"] = "lower"
    facts = {**run_facts("python bench/video_clips.py", 0, started), "files": len(files)}
    args.out.parent.mkdir(parents=True, exist_ok=True)
    partial = args.out.with_suffix(".partial")
    partial.write_text(json.dumps({"rows": lines, "run": facts}, indent=1) + "\n")
    partial.replace(args.out)
    for line in lines:
        print(f"{line['model']:10} {line['mean']:10,.2f} {line['metric']}")
    print(args.out)


if __name__ == "__main__":
    main()
