"""Large inputs: seconds and memory of `nextframe data`, of the first training batch and of a resume.

Three are made in a temporary folder: 10,000 GIFs of 24 frames, a video of four hours (the packets of 20 s, copied)
and a folder of 200,000 images; of GIFs and images 100 are different, the others are hard links. On each a process of
its own runs, with an index cache that is empty at first: `nextframe data`; `nextframe data` again; the loader's first
batch; `nextframe train` of one step; and that run resumed for a second step. Memory is the largest that the process
held (resident). Writes results/large-inputs.json, and the table of docs/your-files.md from it.

    python bench/large_inputs.py [--share 0.01]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from nextframe.evaluation.run_facts import command_line, run_facts

ROOT = Path(__file__).resolve().parents[1]
RESULTS, PAGE = ROOT / "results" / "large-inputs.json", ROOT / "docs" / "your-files.md"
GIFS, HOURS, IMAGES = 10_000, 4.0, 200_000
SIDE, FPS, ONCE, DISTINCT = 32, 24, 480, 100
SIZE = (96, 128)  # height and width
KEY = 48  # frames of the video from one key frame to the next
TASK = ["--context", "4", "--horizon", "4", "--size", f"{SIDE}x{SIDE}"]
TRAIN = [*TASK, "--batch", "16", "--set", "run.report=false"]
FIRST_BATCH = f"""
import sys, numpy as np
from nextframe.data import DataConfig, open_data
from nextframe.training.loader import Steps, training_batches
clips = open_data(DataConfig(name=sys.argv[1], context=4, horizon=4, size=({SIDE}, {SIDE})))
print(next(training_batches(Steps(clips, "train", 0, 16), 0, 1)).frames.shape)
"""


def scene(number: int, count: int, height: int, width: int) -> np.ndarray:
    """Return `count` frames (T, H, W, 3): a soft square that moves, of a colour and a speed that `number` decides."""
    random = np.random.default_rng(number)
    color, speed = random.integers(60, 255, 3), random.uniform(0.5, 2, 2)
    at = random.uniform(0, (height, width)) + np.arange(count)[:, None] * speed
    down, across = (np.arange(n)[None] - at[:, axis, None] % n for axis, n in enumerate((height, width)))
    near = np.exp(-(down[:, :, None] ** 2 + across[:, None] ** 2) / 32)
    return (near[..., None] * color).astype(np.uint8)


def make_gifs(folder: Path, share: float) -> dict[str, int]:
    """Write a folder of GIFs, hard links to a few hundred different ones."""
    folder.mkdir()
    count = max(20, round(GIFS * share))
    for number in range(count):
        path = folder / f"{number:05}.gif"
        if number < DISTINCT:
            first, *rest = map(Image.fromarray, scene(number, 24, SIDE, SIDE))
            first.save(path, save_all=True, append_images=rest, duration=100)
        else:
            os.link(folder / f"{number % DISTINCT:05}.gif", path)
    return {"files": count, "frames": 24 * count}


def make_images(folder: Path, share: float) -> dict[str, int]:
    """Write a folder of frames, hard links to a few hundred different ones."""
    folder.mkdir()
    count = max(200, round(IMAGES * share))
    frames = scene(0, min(DISTINCT, count), SIDE, SIDE)
    for number in range(count):
        path = folder / f"frame_{number:06}.png"
        if number < len(frames):
            Image.fromarray(frames[number]).save(path)
        else:
            os.link(folder / f"frame_{number % len(frames):06}.png", path)
    return {"files": count, "frames": count}


def make_video(path: Path, share: float) -> dict[str, int]:
    """Write an H.264 video: the packets of 20 seconds, copied one after the other."""
    times = max(2, round(HOURS * 3600 * FPS / ONCE * share))
    once = path.with_name("once.mp4")
    with av.open(str(once), "w") as target:
        stream = target.add_stream("libx264", rate=FPS, options={"g": str(KEY), "preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for image in scene(1, ONCE, *SIZE):
            target.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        target.mux(stream.encode())
    with av.open(str(once)) as source, av.open(str(path), "w") as target:
        template = source.streams.video[0]
        stream = target.add_stream_from_template(template)
        shift = int(Fraction(ONCE, FPS) / template.time_base)
        for copy in range(times):
            source.seek(0)
            for packet in source.demux(template):
                if packet.dts is not None and packet.pts is not None:
                    packet.pts, packet.dts, packet.stream = packet.pts + copy * shift, packet.dts + copy * shift, stream
                    target.mux(packet)
    once.unlink()
    return {"files": 1, "frames": ONCE * times}


INPUTS: dict[str, tuple[str, Callable[[Path, float], dict[str, int]]]] = {
    "a folder of GIFs": ("gifs", make_gifs),
    "a video": ("video.mp4", make_video),
    "a folder of images": ("images", make_images),
}


def measured(words: list[str], environment: dict[str, str]) -> dict[str, float]:
    """Run a process of Python to its end; return its seconds, those of processors, and the most memory that it held."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"failed: {' '.join(words[-8:])}")
    return {
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(used.ru_maxrss / 2**10),
    }


def made(make: Callable[[Path, float], dict[str, int]], path: Path, share: float) -> dict[str, int]:
    """Make an input in a process of its own: what this one holds counts as held by those that it starts."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(make, path, share).result()


def steps(path: Path, run: Path) -> dict[str, list[str]]:
    """Return what is run on the input at `path`, in this order, as arguments of Python."""
    product = ["-m", "nextframe"]
    train = [*product, "train", "compact", "--data", str(path), "-o", str(run), *TRAIN]
    return {
        "data": [*product, "data", str(path), *TASK],
        "data again": [*product, "data", str(path), *TASK],
        "first batch": ["-c", FIRST_BATCH, str(path)],
        "train, one step": [*train, "--steps", "1"],
        "resume, one step": [*train, "--steps", "2", "--resume"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as the table of docs/your-files.md."""
    lines = ["| what | files | frames | step | seconds | processor seconds | MiB |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        what = (row["input"], f"{row['files']:,}", f"{row['frames']:,}", row["step"])
        lines.append(f"| {' | '.join(what)} | {row['seconds']} | {row['processor_seconds']} | {row['peak_mib']} |")
    return "\n".join(lines) + "\n"


def write_page(rows: list[dict[str, Any]], command: str) -> None:
    """Put the table and the command into the page, in the place of those that are there."""
    page = re.sub(
        "Measured by `python bench/large_inputs.py[^`]*`", f"Measured by `{command}`", PAGE.read_text("utf-8")
    )
    before, _, rest = page.partition("| what | files |")
    after = rest[rest.index("\n\n") :]
    PAGE.write_text(before + table(rows).rstrip("\n") + after, encoding="utf-8")


def main() -> None:
    """Make the inputs, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=float, default=1.0, help="of the sizes, for a quick look")
    parser.add_argument("--only", choices=[name for name, _ in INPUTS.values()])
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    started, rows = time.monotonic(), []
    with tempfile.TemporaryDirectory() as scratch:
        environment = {**os.environ, "NEXTFRAME_CACHE": str(Path(scratch, "cache"))}
        for title, (name, make) in INPUTS.items():
            if options.only in (None, name):
                path = Path(scratch, name)
                facts = made(make, path, options.share)
                for step, words in steps(path, Path(scratch, f"run-{name}")).items():
                    rows.append({"input": title, **facts, "step": step, **measured(words, environment)})
                    print(rows[-1], flush=True)
    facts = run_facts("python bench/" + command_line(), 0, started)
    options.out.write_text(json.dumps({"rows": rows, "run": facts}, indent=1) + "\n")
    if options.out == RESULTS:
        write_page(rows, facts["command"])


if __name__ == "__main__":
    main()
