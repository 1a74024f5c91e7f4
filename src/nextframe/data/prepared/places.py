"""Where spans may begin: in which sources of a split, and at which of their frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nextframe.core.seeds.seeding import Floats
from nextframe.data.clipset import Split
from nextframe.data.folder.contents import Contents
from nextframe.data.folder.plan import Stretch
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.crops import pick
from nextframe.data.prepared.motion import Ints


class SpanPlaces:
    """The spans of one split: sources are equally likely, then the spans of each."""

    def __init__(self, stretches: Sequence[Stretch], span: int) -> None:
        fitting = sorted((s for s in stretches if s.stop - s.first >= span), key=lambda s: (s.member, s.first))
        counts = np.array([s.stop - s.first - span + 1 for s in fitting], np.int64)
        owners = np.array([s.member for s in fitting], np.int64)
        self.members: Ints = np.unique(owners)
        self.counts: Ints = np.array([counts[owners == m].sum() for m in self.members], np.int64)
        self._firsts = np.array([s.first for s in fitting], np.int64)
        self._ends = np.cumsum(counts)
        self._begins = self._ends - counts
        self._member_begins = np.cumsum(self.counts) - self.counts

    def count(self, member: int) -> int:
        """Return how many spans of a member there are."""
        return int(self.counts[self.members == member].sum())

    def place(self, source: Floats, start: Floats) -> tuple[Ints, Ints]:
        """Return (member, first frame), each (N,), for uniform numbers (N,) in [0, 1)."""
        which = pick(source, len(self.members))
        number = self._member_begins[which] + pick(start, self.counts[which])  # among all spans of the split
        stretch = np.searchsorted(self._ends, number, side="right")
        return self.members[which], self._firsts[stretch] + number - self._begins[stretch]


def span_places(contents: Contents, usable: Sequence[bool], config: PrepareConfig) -> dict[Split, SpanPlaces]:
    """Return where spans may begin in each split; `usable` says so of each member.

    Sources without a split of their own are divided by time; spans cross a scene cut only with `across_cuts`.
    """
    found = contents.stretches(config.span, (config.val_share, config.test_share), config.across_cuts)
    return {
        split: SpanPlaces([s for s in stretches if usable[s.member]], config.span) for split, stretches in found.items()
    }
