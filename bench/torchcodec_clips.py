"""Is torchcodec faster than PyAV at the clips that a training reads? Writes results/bench-torchcodec.json.

The clips of bench/video_clips.py: 15 consecutive frames of one H.264 file, as RGB cropped to 128x128, at random places.
Ours reads them one by one with its cache of frames off; torchcodec keeps a decoder open for each file and takes a range
of frames from it, at its own default of one thread of FFmpeg and at as many as FFmpeg likes. All of them are cropped by
our own code. Rounds alternate, so that all meet the same machine; processor seconds are those of all threads.

torchcodec is none of our requirements, and links to FFmpeg libraries that the system has to have. Beside the CPU build
of torch 2.13 the newest that imports is 0.13.0: later wheels on PyPI are linked to CUDA.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torchcodec
from torchcodec.decoders import VideoDecoder
from video_clips import LENGTH, ROOT, SIZE, Clock, h264_files, open_clips

from nextframe.evaluation.run_facts import run_facts
from nextframe.media.fit import fit_image
from nextframe.media.source import Image

THREADS = {"torchcodec": 1, "torchcodec, threads of FFmpeg": 0}


class TorchCodec:
    """One open decoder a file."""

    def __init__(self, files: dict[str, Path], threads: int) -> None:
        self.decoders = {
            name: VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=threads)
            for name, path in files.items()
        }

    def read(self, name: str, first: int) -> list[Image]:
        """Return the clip at `first`, RGB at SIZE."""
        frames = self.decoders[name].get_frames_in_range(first, first + LENGTH).data.numpy()
        return [fit_image(frame, SIZE, "crop") for frame in frames]


Apart = dict[str, list[float]]


def race(folder: Path, files: dict[str, Path], rounds: int, count: int) -> tuple[dict[str, Clock], Apart]:
    """Return the clocks of all readers, and by file the mean difference of torchcodec's clips from ours, in levels."""
    ours = open_clips(folder, 1)
    theirs = {name: TorchCodec(files, threads) for name, threads in THREADS.items()}
    clocks = {name: Clock() for name in ("nextframe", *theirs)}
    table, apart = ours.tables["train"], Apart()
    for number in range(rounds):
        chosen = np.random.default_rng(number).integers(0, len(table), count)
        places = [(ours.source("train", int(i)), int(table.firsts[i])) for i in chosen]
        with clocks["nextframe"]:
            read = [ours.read("train", chosen[i : i + 1]) for i in range(count)]
        for name, reader in theirs.items():
            with clocks[name]:
                clips = [reader.read(*place) for place in places]
        for (name, _), clip, other in zip(places, read, clips, strict=True):
            own = clip.frames[0].permute(0, 2, 3, 1).numpy().astype(np.int16)
            apart.setdefault(name, []).append(float(np.abs(own - np.stack(other)).mean()))
    return clocks, apart


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=ROOT.parent / "shared" / "data" / "videos")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-torchcodec.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    with TemporaryDirectory() as folder:
        files = h264_files(args.folder, Path(folder))
        clocks, apart = race(Path(folder), files, args.rounds, args.clips)
    seconds = {name: np.array(clock.rounds).sum(0) for name, clock in clocks.items()}
    rows = []
    for name, spent in seconds.items():
        for metric, place in (("wall", 0), ("processor", 1)):
            ratio = float(seconds["nextframe"][place] / spent[place])
            runs = [clock[place] for clock in clocks[name].rounds]
            rows.append({"model": name, "metric": f"{metric} seconds", "runs": runs, "speed over nextframe": ratio})
            print(f"{name:30} {metric:10} {spent[place]:7.2f} s, {ratio:.2f} times as fast as nextframe")
    means = {name: float(np.mean(values)) for name, values in apart.items()}
    for name, levels in means.items():
        print(f"{name:30} {levels:.2f} levels apart")
    facts = {**run_facts("python bench/torchcodec_clips.py VIDEOS", 0, started), "files": len(files)}
    facts |= {"torchcodec": torchcodec.__version__, "levels apart": means}
    args.out.write_text(json.dumps({"rows": rows, "run": facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
