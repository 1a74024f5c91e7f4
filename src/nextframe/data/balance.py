"""Training batches in which every source weighs the same, however many clips it has, as it does in evaluation."""

from __future__ import annotations

import numpy as np

from nextframe.core.errors import UserError
from nextframe.core.seeding import numpy_generator
from nextframe.data.clipset import ClipSet, Indices, Split


class SourceTurns:
    """Sources take turns: each round has one clip of every source, in an order of its own.

    A source shows all its clips before it shows one again, each time in another order.
    """

    def __init__(self, clips: ClipSet, split: Split, seed: int) -> None:
        """Sort the clips of `split` by source.

        Raises:
            UserError: the split is endless, or has no clips.
        """
        count = clips.count(split)
        if count is None:
            raise UserError(f"{clips.name}: clips without end have no sources to balance: leave training.balance out")
        if count == 0:
            raise UserError(f"{clips.name}: the {split} split has no clips")
        self.seed, by_source = seed, dict[str, list[int]]()
        for index in range(count):
            by_source.setdefault(clips.source(split, index), []).append(index)
        self._orders: dict[int, tuple[int, Indices]] = {}  # of each source: how often it was shown whole, and its order
        self.sources = [np.array(found, dtype=np.int64) for _, found in sorted(by_source.items())]

    def indices(self, step: int, size: int) -> Indices:
        """Return the `size` clip indices of training step `step`: a pure function of (seed, step)."""
        rounds, places = np.divmod(np.arange(step * size, (step + 1) * size), len(self.sources))
        orders = {int(r): numpy_generator(self.seed, "round", int(r)).permutation(len(self.sources)) for r in rounds}
        return np.array([self._clip(int(orders[r][p]), r) for r, p in zip(rounds.tolist(), places, strict=True)])

    def _clip(self, source: int, visit: int) -> int:
        clips = self.sources[source]
        again, place = divmod(visit, len(clips))
        if self._orders.get(source, (-1,))[0] != again:
            order = numpy_generator(self.seed, "source", source, again).permutation(len(clips))
            self._orders[source] = (again, order)
        return int(clips[self._orders[source][1][place]])
