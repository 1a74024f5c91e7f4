"""Measure clips a second from prepared shards and from the sources that they were cut from: the same clips, one thread.

Clips are read in one random order, 32 at a time. From the sources each is decoded by the data layer's own random
access (files stay open, seek points are used, no frame is kept from one clip to the next) and then cropped; the clips
of the first batch are compared. Writes results/bench-prepared-clips.json.

    python bench/prepared_clips.py FOLDER_OF_SOURCES [FOLDER ...]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from nextframe.data import DataConfig, open_data
from nextframe.data.folder.contents import FolderConfig, look
from nextframe.data.folder.store import FrameStore
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.manifest import layout_of, shard_files
from nextframe.data.prepared.prepare import prepare
from nextframe.data.prepared.shards import read_notes
from nextframe.evaluation.run_facts import run_facts

ROOT = Path(__file__).resolve().parents[1]
CONTEXT, HORIZON, BATCH, REPEATS = 4, 1, 32, 3
Read = Callable[[np.ndarray], torch.Tensor]


class Decoder:
    """The clips of a folder of sources by the notes of prepared ones."""

    def __init__(self, source: Path, output: Path, manifest: dict[str, Any]) -> None:
        layout = layout_of(manifest)
        shards = shard_files(output, manifest, "train")
        self.notes = [note for path, part in shards for note in read_notes(path, layout, len(part))]
        members = look(DataConfig(name=str(source)), FolderConfig()).members
        self.number = {member.name: number for number, member in enumerate(members)}
        self.store = FrameStore(members, layout.shape[1], None, lambda image: image, room=0)
        self.size = manifest["settings"]["size"]

    def __call__(self, indices: np.ndarray) -> torch.Tensor:
        """Return clips (B, T, C, H, W)."""
        return torch.from_numpy(np.stack([self.clip(self.notes[i]) for i in indices]))

    def clip(self, note: dict[str, Any]) -> np.ndarray:
        """Return one clip (T, C, H, W)."""
        numbers = list(range(note["start"], note["start"] + CONTEXT + HORIZON))
        found = self.store.frames(self.number[note["source"]], numbers, tuple)
        rows = slice(note["top"], note["top"] + self.size[0])
        columns = slice(note["left"], note["left"] + self.size[1])
        return np.stack([found[n][rows, columns].transpose(2, 0, 1) for n in numbers])


def measure(source: Path, clips: int, decoded: int, scratch: Path) -> Iterator[dict[str, object]]:
    """Yield the rows of one folder of sources."""
    output = scratch / source.name
    manifest = prepare(source, output, PrepareConfig(clips=clips, held_out=0), workers=1, show=False)
    prepared = open_data(DataConfig(name=str(output), context=CONTEXT, horizon=HORIZON))
    order = prepared.order("train", 0, 0)
    decoder = Decoder(source, output, manifest)

    def read(indices: np.ndarray) -> torch.Tensor:
        return prepared.read("train", indices).frames

    if not torch.equal(read(order[:BATCH]), decoder(order[:BATCH])):
        sys.exit(f"{source}: clips from shards are not those of the sources")
    few = order[: decoded // BATCH * BATCH]
    fast, slow = [], []
    for _ in range(REPEATS):  # in turns, so that what else the machine does meets both
        fast.append(speeds(read, np.resize(order, 10 * len(order) // BATCH * BATCH)))
        slow.append(speeds(decoder, few))
    for unit, at in (("clips/s", 0), ("clips/cpu-s", 1)):
        yield row(source.name, "prepared shards", unit, [s[at] for s in fast], len(order))
        yield row(source.name, "decoded from the sources", unit, [s[at] for s in slow], len(few))
        ratio = [f[at] / s[at] for f, s in zip(fast, slow, strict=True)]
        yield row(source.name, f"prepared / decoded, by {unit}", "times", ratio, len(few))


def speeds(read: Read, indices: np.ndarray) -> tuple[float, float]:
    """Return clips per second of wall time and of processor time."""
    wall, processor = time.perf_counter(), time.process_time()
    for first in range(0, len(indices), BATCH):
        read(indices[first : first + BATCH])
    return len(indices) / (time.perf_counter() - wall), len(indices) / (time.process_time() - processor)


def row(data: str, model: str, unit: str, values: list[float], count: int) -> dict[str, object]:
    """Return one row of the results file; the median run stands for all."""
    definition = f"{CONTEXT + HORIZON} frames of 32x32, batches of {BATCH}, random order; median of {REPEATS}"
    fields = {"model": model, "data": data, "split": "train", "metric": unit, "definition": definition}
    return {**fields, "unit": unit, "better": "higher", "mean": float(np.median(values)), "runs": values, "n": count}


def main() -> None:
    """Measure every folder and write the results file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, nargs="+")
    parser.add_argument("--clips", type=int, default=3000)
    parser.add_argument("--decoded", type=int, default=320, help="how many of them are decoded")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "bench-prepared-clips.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [line for source in args.source for line in measure(source, args.clips, args.decoded, Path(scratch))]
    names = " ".join(source.name for source in args.source)
    facts = run_facts(f"python bench/prepared_clips.py {names}", 0, began)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({"rows": rows, "run": facts}, indent=1) + "\n", encoding="utf-8")
    for line in rows:
        print(f"{line['data']:20} {line['model']:40} {line['mean']:12,.1f} {line['unit']}")
    print(args.out)


if __name__ == "__main__":
    main()
