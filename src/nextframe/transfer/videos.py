"""Labelled videos of a split: the windows of each, its class, and draws of a few videos per class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import as_float
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data import ClipSet
from nextframe.data.clipset import Indices, Split

ROOM = 2**30  # bytes of windows, or of encoder outputs, that are cached for the next draw
Make = Callable[[Indices], Tensor]


@dataclass(frozen=True)
class Videos:
    """The labelled videos of a split: `windows[v]` are the clips of video v, `labels` (V,) its class."""

    windows: list[Indices]
    labels: Indices

    def __len__(self) -> int:
        return len(self.windows)

    def chosen(self, videos: Indices) -> Videos:
        """Return the videos with these numbers, in that order."""
        return Videos([self.windows[video] for video in videos], self.labels[videos])

    def flat(self) -> tuple[Indices, Indices]:
        """Return every window, and the number of its video among these."""
        lengths = [len(windows) for windows in self.windows]
        return np.concatenate(self.windows), np.repeat(np.arange(len(self)), lengths)


def labelled_videos(clips: ClipSet, split: Split) -> Videos:
    """Return the videos of `split` that have a class, in the order of their first clips.

    Raises:
        UserError: an endless split, or one without a labelled clip.
    """
    count = clips.count(split)
    if count is None:
        raise UserError(f"{clips.name}: the {split} split is endless; classes need a fixed number of videos")
    windows: dict[str, list[int]] = {}
    labels: dict[str, int] = {}
    for index in range(count):
        label = clips.label(split, index)
        if label is not None:
            source = clips.source(split, index)
            windows.setdefault(source, []).append(index)
            labels[source] = label
    if not windows:
        why = f": there is no {split}_labels.txt, or no video is long enough" if clips.name == "percepts" else ""
        raise UserError(f"{clips.name}: no clip of the {split} split has a class{why}")
    return Videos([np.array(own, np.int64) for own in windows.values()], np.array([labels[s] for s in windows]))


def draw_videos(labels: Indices, per_class: int | None, seed: int, draw: int) -> Indices:
    """Return the numbers of `per_class` videos of each class (None, or more than there are: all), shuffled by `draw`.

    A draw with fewer videos is the beginning of the same draw with more, for each class.
    """
    chosen = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        order = numpy_generator(seed, "draw", draw, int(label)).permutation(len(own))
        chosen.append(own[order[:per_class]])
    return np.concatenate(chosen)


class Kept:
    """A function of clip numbers, called once for each clip as long as all its results fit into `room` bytes."""

    def __init__(self, make: Make, count: int, room: int = ROOM) -> None:
        self.make, self.count, self.room = make, count, room
        self._have = np.zeros(count, bool)
        self._kept: Tensor | None = None

    def __call__(self, indices: Indices) -> Tensor:
        """Return the results for `indices`, in that order."""
        missing = np.unique(indices[~self._have[indices]])
        if not len(missing) and self._kept is not None:
            return self._kept[torch.from_numpy(indices)]
        made = self.make(missing if self._kept is not None else indices)
        if self._kept is None:
            if self.count * made[0].numel() * made.element_size() > self.room:
                return made
            self._kept, missing = made.new_empty((self.count, *made.shape[1:])), indices
        self._kept[torch.from_numpy(missing)] = made
        self._have[missing] = True
        return self._kept[torch.from_numpy(indices)]


def window_reader(clips: ClipSet, split: Split, device: str) -> Make:
    """Return a function that gives windows (B, T, C, H, W) by their numbers, as float in [0, 1] on `device`."""
    stored = Kept(lambda indices: clips.read(split, indices).frames, clips.count(split) or 0)
    return lambda indices: as_float(stored(indices).to(device))
