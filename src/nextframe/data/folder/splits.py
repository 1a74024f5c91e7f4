"""Which source, or which stretch of one, belongs to train, val and test: by name or by time, never at random."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Mapping, Sequence

from nextframe.data.clipset import SPLITS, Split


def split_by_name(lengths: Mapping[str, int], val_share: float, test_share: float) -> dict[str, Split]:
    """Return the split of each source, from its name: adding a source leaves all others where they are.

    A hash of the name is a number in [0, 1): below `test_share` is test, the next `val_share` val, the rest train.
    Then, so that none stays empty: a split without a source of at least the median length takes the one of them with
    the smallest hash (train: the largest) from the split that has most. `lengths` are frames; at least 3 sources.
    """
    at = {name: _unit_hash(name) for name in lengths}
    splits: dict[str, Split] = {
        name: "test" if u < test_share else "val" if u < test_share + val_share else "train" for name, u in at.items()
    }
    median = statistics.median_low(lengths.values())
    long = sorted((name for name in lengths if lengths[name] >= median), key=lambda name: at[name])
    wanted = {"train": True, "val": val_share > 0, "test": test_share > 0}
    order: tuple[Split, ...] = ("train", "test", "val")
    for split in order:
        if wanted[split] and not any(splits[name] == split for name in long):
            _take(splits, split, long, list(lengths))
    return splits


def _take(splits: dict[str, Split], split: Split, long: Sequence[str], names: Sequence[str]) -> None:
    """Move a source into `split` from the one with most: a long one, or any if there is none and `split` is empty."""

    def spare(candidates: Sequence[str]) -> list[str]:
        counts = {s: sum(splits[n] == s for n in candidates) for s in SPLITS}
        most = max(counts, key=lambda s: counts[s])
        return [n for n in candidates if splits[n] == most and counts[most] > 1]

    candidates = spare(long) or ([] if split in splits.values() else spare(names))
    if candidates:
        splits[candidates[-1 if split == "train" else 0]] = split


def split_by_time(frames: int, span: int, val_share: float, test_share: float) -> dict[Split, tuple[int, int]]:
    """Return the stretch [first, stop) of each split: train, then val, then test, with `span` unused frames between.

    The gaps are taken from the ends of train and val, so a longer span never moves a frame from one to the other. There
    is none before a split whose share is 0: with both shares 0 all frames are train.
    """
    test = round(frames * (1 - test_share))
    val = round(frames * (1 - test_share - val_share))
    train_stop = val - span if val_share or test_share else frames
    val_stop = test - span if test_share else frames
    return {"train": (0, max(0, train_stop)), "val": (val, max(val, val_stop)), "test": (test, frames)}


def _unit_hash(name: str) -> float:
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogateescape")).digest()[:8], "big") / 2**64
