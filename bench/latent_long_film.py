"""A long video trains its latent LSTM in bounded memory: the peak of a whole `nextframe train`.

A video is scaled down and repeated until it lasts HOURS (its packets are copied, so this takes seconds), then trained
on with recipe film-latent-small: autoencoder, every frame encoded once, LSTM. The steps are few, because memory does
not depend on them. Writes results/latent-long-film.json.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from fractions import Fraction
from pathlib import Path

import av

from nextframe.evaluation.run_facts import command_line, run_facts

ROOT = Path(__file__).resolve().parents[1]
WIDTH, HEIGHT, FPS = 96, 72, 25
GOAL_GIB = 3.0


def encode_once(video: Path, path: Path) -> int:
    """Write a small copy of `video` without frames that refer to later ones; return its length."""
    with av.open(str(video)) as source:
        frames = [frame.reformat(WIDTH, HEIGHT, "yuv420p") for frame in source.decode(video=0)]
    with av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "g": "48", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            target.mux(stream.encode(frame))
        target.mux(stream.encode())
    return len(frames)


def repeat(once: Path, length: int, times: int, path: Path) -> None:
    """Write the packets of `once` one copy after the other."""
    with av.open(str(path), "w") as target:
        with av.open(str(once)) as source:
            stream = target.add_stream_from_template(source.streams.video[0])
            shift = int(Fraction(length, FPS) / source.streams.video[0].time_base)
        for copy in range(times):
            with av.open(str(once)) as source:
                for packet in source.demux(video=0):
                    if packet.dts is None or packet.pts is None:
                        continue
                    packet.pts, packet.dts = packet.pts + copy * shift, packet.dts + copy * shift
                    packet.stream = stream
                    target.mux(packet)


def main() -> None:
    """Make the video, train on it, write its peak memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("video", type=Path)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "latent-long-film.json")
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        once, video = Path(scratch, "once.mp4"), Path(scratch, "video.mp4")
        length = encode_once(options.video, once)
        times = int(options.hours * 3600 * FPS / length) + 1
        repeat(once, length, times, video)
        run = Path(scratch, "run")
        command = [sys.executable, "-m", "nextframe", "train", "film-latent-small", "--data", str(video)]
        command += ["-o", str(run), "--steps", str(options.steps), "--set", f"training.val_every={options.steps}"]
        command += ["--set", "run.report=false"]
        subprocess.run(command, check=True)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        latents = sum(path.stat().st_size for path in (run / "latents").iterdir()) / 2**20
    found = {
        "frames": length * times,
        "hours": round(length * times / FPS / 3600, 2),
        "peak resident memory, GiB": round(peak, 2),
        "goal, GiB": GOAL_GIB,
        "latents on disk, MiB": round(latents),
        "steps": options.steps,
    }
    facts = run_facts("python bench/" + command_line(), 0, started)
    options.out.write_text(json.dumps({"film": found, "run": facts}, indent=1) + "\n")


if __name__ == "__main__":
    main()
