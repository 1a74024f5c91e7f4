"""Clips from what a notebook has: a tensor, a NumPy array, a list of either, or a torch Dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from nextframe.core.clip import Clip, Task, as_uint8
from nextframe.core.conditions import Conditions
from nextframe.core.errors import UserError
from nextframe.data.clipset import IN_MEMORY, SPLITS, ClipSet, Indices, Split, check_indices
from nextframe.data.folder.plan import ClipTable, Stretch
from nextframe.data.folder.splits import split_by_name, split_by_time
from nextframe.data.items import Kind, Source, Store


def clips(
    frames: Source,
    context: int | None = None,
    horizon: int | None = None,
    *,
    val: Source | None = None,
    test: Source | None = None,
    val_share: float = 0.1,
    test_share: float = 0.1,
    clip_step: int = 1,
    classes: Sequence[str] = (),
    fps: float = 10.0,
    name: str = IN_MEMORY,
) -> TorchClips:
    """Return the clips of tensors, arrays or a torch Dataset; items are read when a clip is needed.

    An item is a video (T, C, H, W), or a pair (context, target) of two; (video, class); or a mapping with "frames" or
    "video" and optionally "label" (a class) and "actions" (T, A); its other entries are not read. All items have
    the shape of the first. Frames are uint8, or floats in [0, 1], which are rounded to 256 levels.

    A video longer than context + horizon gives several clips: in train one that starts every `clip_step` frames, in
    val and test one after another.

    Args:
        frames: (N, T, C, H, W), one video (T, C, H, W), or items.
        context: frames to predict from; None: 10, or that of the pairs.
        horizon: frames to predict; None: 10, or that of the pairs.
        val: clips to validate on. None: a share of the items of `frames`, chosen by a hash of their numbers, so that
            further items leave them where they are. Of fewer than 3 items each one's end is taken.
        test: clips to test on; None as for `val`.
        val_share: of the items, in [0, 1).
        test_share: of the items, in [0, 1).
        clip_step: frames from the start of a training clip to that of the next.
        classes: names of the classes, in the order of their numbers.
        fps: frames a second, for what is shown.
        name: the name of the data in tables.

    Raises:
        UserError: no items, items that are not frames, or videos too short. An item that differs from the first
            is refused when it is read, with its number.
    """
    if clip_step < 1 or min(val_share, test_share) < 0 or val_share + test_share >= 1:
        raise UserError("clip_step must be at least 1, and val_share + test_share below 1")
    whole = Store(frames, "")
    task = _task(whole.kind, context, horizon)
    shares = (0.0 if val is not None else val_share), (0.0 if test is not None else test_share)
    stretches = _stretches(len(whole), whole.kind.length, task.length, *shares)
    steps = {"train": clip_step, "val": task.length, "test": task.length}
    parts = {split: (whole, ClipTable(stretches[split], task.length, steps[split])) for split in SPLITS}
    given: tuple[tuple[Split, Source | None], ...] = (("val", val), ("test", test))
    for split, source in given:
        if source is not None:
            store = Store(source, f"{split} ", whole.kind)
            each = [Stretch(number, 0, store.kind.length) for number in range(len(store))]
            parts[split] = (store, ClipTable(each, task.length, task.length))
    if not len(parts["train"][1]):
        raise UserError(f"{name}: {_too_short(whole.kind, task)}; give at least 3 items, or val= and test=")
    return TorchClips(parts, task, tuple(classes), fps, name)


class TorchClips(ClipSet):
    """Clips of items; made by `clips`."""

    def __init__(
        self,
        parts: Mapping[Split, tuple[Store, ClipTable]],
        task: Task,
        classes: tuple[str, ...],
        fps: float,
        name: str,
    ) -> None:
        self.parts, self.task, self.classes, self.fps, self.name = dict(parts), task, classes, fps, name
        channels, height, width = parts["train"][0].kind.frame
        self.frame_shape = (channels, height, width)

    def count(self, split: Split) -> int:
        """Return how many clips `split` has."""
        return len(self.parts[split][1])

    def source(self, split: Split, index: int) -> str:
        """Return the item that clip `index` is cut from."""
        store, table = self.parts[split]
        return f"{store.prefix}item {table.members[index]}"

    def label(self, split: Split, index: int) -> int | None:
        """Return the class of clip `index`, if it has one; this reads its item."""
        store, table = self.parts[split]
        label = store.read(int(table.members[index])).label
        return None if label is None else int(label)

    def frame_ids(self, split: Split, indices: Indices) -> Indices:
        """Return a number for each frame, (N, task.length): clips that share a frame share its number."""
        store, table = self.parts[split]
        starts = table.members[indices] * store.kind.length + table.firsts[indices]
        return np.asarray(starts[:, None] + np.arange(self.task.length))

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` as one uint8 batch, in that order; each item is read once for all its clips.

        Raises:
            UserError: an item that is not like the first; the line has its number.
        """
        store, table = self.parts[split]
        check_indices(self, split, indices)
        members = table.members[indices].tolist()
        items = {number: store.read(number) for number in dict.fromkeys(members)}
        spans = [slice(first, first + self.task.length) for first in table.firsts[indices].tolist()]
        rows = [(items[number], span) for number, span in zip(members, spans, strict=True)]
        frames = torch.stack([as_uint8(item.frames[span]) for item, span in rows])
        timed = {"actions": torch.stack([item.actions[span] for item, span in rows])} if store.kind.actions else {}
        fixed = {"label": torch.tensor([item.label for item, _ in rows])} if store.kind.labelled else {}
        return self.task.split(frames, Conditions(timed, fixed))


def _task(kind: Kind, context: int | None, horizon: int | None) -> Task:
    default = kind.pair or (10, 10)
    task = Task.forecast(default[0] if context is None else context, default[1] if horizon is None else horizon)
    if kind.pair and (task.context, task.horizon) != kind.pair:
        raise UserError(
            f"items are pairs of {kind.pair[0]} + {kind.pair[1]} frames, not {task.context} + {task.horizon}"
        )
    if kind.length < task.length:
        raise UserError(f"{_too_short(kind, task)}; ask for a smaller context or horizon")
    return task


def _too_short(kind: Kind, task: Task) -> str:
    return f"videos of {kind.length} frames are too short for clips of {task.context} + {task.horizon}"


def _stretches(items: int, length: int, span: int, val_share: float, test_share: float) -> dict[Split, list[Stretch]]:
    """Return which frames of which items belong to each split: whole items, or of fewer than 3 the end of each."""
    found: dict[Split, list[Stretch]] = {split: [] for split in SPLITS}
    if not val_share + test_share:
        found["train"] = [Stretch(number, 0, length) for number in range(items)]
    elif items < 3:
        for number in range(items):
            for split, (first, stop) in split_by_time(length, span, val_share, test_share).items():
                found[split].append(Stretch(number, first, stop))
    else:
        chosen = split_by_name({str(number): length for number in range(items)}, val_share, test_share)
        for number in range(items):
            found[chosen[str(number)]].append(Stretch(number, 0, length))
    return found
