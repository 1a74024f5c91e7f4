"""What the motion filter did: the share of clips kept by each rule, tries, and a histogram of motion."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextframe.data.clipset import SPLITS, Split
from nextframe.data.prepared.crops import RULES
from nextframe.data.prepared.manifest import layout_of, shard_files
from nextframe.data.prepared.shards import read_notes

BINS_PER_DECADE = 5
Floats = NDArray[np.float64]


def measure(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the statistics of each split, read back from the shards, so that they describe what was written."""
    return {split: _measure_split(folder, manifest, split) for split in SPLITS if manifest["splits"].get(split)}


def _measure_split(folder: Path, manifest: Mapping[str, Any], split: Split) -> dict[str, Any]:
    rules, tries, sources = Counter[str](), Counter[int](), Counter[str]()
    kept, first = [], []  # type: tuple[list[float], list[float]]
    for note in _notes(folder, manifest, split):
        rules[note["rule"]] += 1
        tries[note["tries"]] += note["rule"] == "motion"
        sources[note["source"]] += 1
        kept.append(note["motion"])
        first.append(note["first_motion"])
    clips, most = len(kept), max((t for t, n in tries.items() if n), default=0)
    return {
        "clips": clips,
        "kept_by": {rule: rules[rule] for rule in RULES},
        "share": {rule: rules[rule] / clips for rule in RULES},
        "first_crop_moves": float(np.mean(np.array(first) > manifest["settings"]["threshold"])),
        "kept_by_motion_at_try": [tries[t] for t in range(1, most + 1)],
        "clips_of_source": dict(sorted(sources.items())),
        "motion": {"kept": _histogram(np.array(kept)), "first_crop": _histogram(np.array(first))},
    }


def _notes(folder: Path, manifest: Mapping[str, Any], split: Split) -> Iterator[dict[str, Any]]:
    layout = layout_of(manifest)
    for path, clips in shard_files(folder, manifest, split):
        yield from read_notes(path, layout, len(clips))


def _histogram(motion: Floats) -> dict[str, Any]:
    """Count motions in bins of equal width on a logarithmic scale from 1 on; the first bin is all below 1."""
    decades = max(1, int(np.ceil(np.log10(max(10.0, float(motion.max()) * 1.000001)))))
    edges = np.concatenate([[0.0], 10 ** (np.arange(decades * BINS_PER_DECADE + 1) / BINS_PER_DECADE)])
    counts, _ = np.histogram(motion, edges)
    return {
        "edges": [float(f"{edge:.6g}") for edge in edges],
        "counts": counts.tolist(),
        "mean": float(motion.mean()),
        "median": float(np.median(motion)),
        "still": float(np.mean(motion == 0)),
    }


def write_histogram(path: Path, statistics: Mapping[str, Any], threshold: float) -> None:
    """Write a chart of the motion of the kept crops and of the first ones, whole or not at all."""
    from matplotlib.figure import Figure

    split, found = next(iter(statistics.items()))
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for name, label, color in (("first_crop", "first crop", "#9aa3b2"), ("kept", "kept crop", "#1f77b4")):
        histogram = found["motion"][name]
        edges = [0.5, *histogram["edges"][1:]]  # values below 1 are drawn left of it
        axes.stairs(histogram["counts"], edges, fill=True, alpha=0.65, color=color, label=label)
    axes.axvline(threshold, color="#d62728", linestyle="--", label=f"threshold {threshold:g}")
    what = "squared differences of consecutive frames in [-1, 1], summed (left bar: below 1)"
    axes.set(xscale="log", xlabel=what, ylabel="clips")
    axes.set_title(f"{found['clips']:,} clips, {split} split: motion", fontsize=11)
    axes.legend()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    figure.savefig(temporary, format="png", metadata={"Software": None})
    os.replace(temporary, path)
