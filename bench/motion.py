"""`motion` beside the trial that it began as: frames a second, a whole `nextframe predict`, and memory at 1080p.

Both predict the same clips in turn, in float32, on one thread and on all of them. A step reads a frame and predicts the
next, as in a stream; a roll-out is ten frames after four, with the rehearsal that `motion` does before it. Needs the
folder of the trial, MOTION_TRIAL. Writes results/bench-motion.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import torch
from motion_trial import MotionTrial, trial

import nextframe
from nextframe.evaluation.run_facts import run_facts
from nextframe.media.writer import write_video
from nextframe.models.contract import ModelConfig

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((144, 256), (360, 640))
MEMORY = """
import torch, nextframe
net = nextframe.load("motion")
peak = lambda: int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
before = peak()
context = torch.rand(1, 4, 3, 1080, 1920)
net.predict(context, 1)
print((peak() - before) * 1024 / 1e9)
"""  # not ru_maxrss, which a process has from the one that starts it


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-motion.json")
    options = parser.parse_args()
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    most = torch.get_num_threads()
    for threads in sorted({1, most}):
        torch.set_num_threads(threads)
        cv2.setNumThreads(threads)  # of DIS flow, which is OpenCV's
        rows += [each | {"threads": threads} for size in SIZES for each in compared(size, options.rounds)]
    told = "speed of motion / of the trial, {what}, {size}, {threads} threads"
    verdict: dict[str, Any] = {told.format(**row): row["ratio"] for row in rows}
    verdict["seconds of nextframe predict, 10 frames of 256x144"] = whole_command(options.rounds)
    verdict["GB that one 1080p frame and its context add to the peak"] = [
        float(subprocess.check_output([sys.executable, "-c", MEMORY])) for _ in range(options.rounds)
    ]
    facts = run_facts("python bench/motion.py", 0, started)
    facts["threads"] = most
    options.out.write_text(json.dumps({"rows": rows, "verdict": verdict, "run": facts}, indent=1) + "\n")
    print(json.dumps(verdict, indent=1))


def compared(size: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    """Return a row for a step and one for a roll-out: seconds a frame of both, in turn."""
    video = clip(size)
    ours, theirs = nextframe.load("motion").eval(), MotionTrial(ModelConfig()).eval()
    net, module = theirs.net, trial()
    with torch.no_grad():
        state = ours.prime(video[:, :3])
        ways = {
            "a step of a stream": (lambda: ours.step(state, video[:, 3]), lambda: net(video[:, 1:4]), 1),
            "a roll-out of 10": (lambda: ours.predict(video, 10), lambda: module.rollout(net, video, 10), 10),
        }
        return [row(what, size, *both, frames, rounds) for what, (*both, frames) in ways.items()]


def row(
    what: str, size: tuple[int, int], ours: Callable[[], Any], theirs: Callable[[], Any], frames: int, rounds: int
) -> dict[str, Any]:
    """Return the seconds a frame of both ways, run in turn after one run each."""
    times: dict[str, list[float]] = {"motion": [], "trial": []}
    for turn in range(rounds + 1):
        for name, way in (("motion", ours), ("trial", theirs)):
            began = time.monotonic()
            way()
            if turn:
                times[name].append((time.monotonic() - began) / frames)
    ratio = median(times["trial"]) / median(times["motion"])
    return {"what": what, "size": f"{size[1]}x{size[0]}", "ratio": ratio, "seconds a frame": times}


def clip(size: tuple[int, int]) -> torch.Tensor:
    """Return four frames (1, 4, 3, H, W) of a smooth texture that moves to the left."""
    generator = torch.Generator().manual_seed(0)
    wide = torch.rand(1, 3, size[0] // 8, size[1] // 8 + 4, generator=generator)
    wide = torch.nn.functional.interpolate(wide, scale_factor=8, mode="bicubic").clamp(0, 1)
    return torch.stack([wide[..., 3 * t : 3 * t + size[1]] for t in range(4)], dim=1)


def whole_command(rounds: int) -> list[float]:
    """Return the seconds of `nextframe predict` from start to end, for each round."""
    with tempfile.TemporaryDirectory() as folder:
        video = write_video(Path(folder) / "clip.npy", (clip((144, 256))[0] * 255).byte(), 10)
        command = [
            sys.executable,
            "-m",
            "nextframe",
            "predict",
            str(video),
            "-n",
            "10",
            "-o",
            str(Path(folder) / "x.gif"),
        ]
        seconds = []
        for _ in range(rounds):
            began = time.monotonic()
            subprocess.run([*command, "--quiet"], check=True, capture_output=True)
            seconds.append(time.monotonic() - began)
            (Path(folder) / "x.gif").unlink()
    return seconds


if __name__ == "__main__":
    main()
