"""Which clips there are: a table of (source, first frame), and the order in which training visits them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import Indices

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Stretch:
    """Frames [first, stop) of a source that clips may be cut from."""

    member: int
    first: int
    stop: int


def without_cuts(stretch: Stretch, cuts: Ints) -> list[Stretch]:
    """Return the parts of a stretch that no cut divides."""
    inside = cuts[(cuts > stretch.first) & (cuts < stretch.stop)].tolist()
    edges = [stretch.first, *inside, stretch.stop]
    return [Stretch(stretch.member, a, b) for a, b in itertools.pairwise(edges)]


class ClipTable:
    """Every clip of a split: spans of `span` frames, starting every `step` frames of each stretch."""

    def __init__(self, stretches: Sequence[Stretch], span: int, step: int) -> None:
        counts = [max(0, (s.stop - s.first - span) // step + 1) if s.stop - s.first >= span else 0 for s in stretches]
        self.span = span
        self.members = np.repeat(np.array([s.member for s in stretches], np.int64), counts)
        firsts = [s.first + step * np.arange(n, dtype=np.int64) for s, n in zip(stretches, counts, strict=True)]
        self.firsts: Ints = np.concatenate(firsts) if firsts else np.zeros(0, np.int64)
        self._blocks, self._begins = np.zeros(len(self), np.int64), np.zeros(1, np.int64)

    def __len__(self) -> int:
        return len(self.members)

    def make_blocks(self, frames: int) -> None:
        """Divide the clips into blocks that start within the same `frames` frames of one source."""
        place = np.stack([self.members, self.firsts // max(1, frames)])
        change = np.any(place[:, 1:] != place[:, :-1], axis=0)
        self._blocks = np.concatenate([[0], np.cumsum(change)]) if len(self) else np.zeros(0, np.int64)
        self._begins = np.searchsorted(self._blocks, np.arange(self.blocks + 1))

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return int(self._blocks[-1]) + 1 if len(self) else 0

    def block_of(self, clip: int) -> slice:
        """Return the clips of the block that `clip` is in."""
        block = int(self._blocks[clip])
        return slice(int(self._begins[block]), int(self._begins[block + 1]))

    def order(self, together: int, seed: int, epoch: int) -> Indices:
        """Return a permutation of the clips: blocks in random order, the clips of each `together` blocks mixed.

        So a batch mixes up to `together` places of the sources, and each place is decoded once for all its clips.
        """
        random = numpy_generator(seed, "order", epoch)
        rank = np.empty(self.blocks, np.int64)
        rank[random.permutation(self.blocks)] = np.arange(self.blocks)
        group = rank[self._blocks] // max(1, together)
        return np.lexsort((random.random(len(self)), group)).astype(np.int64)
