"""Alternatives to shuffled epochs as the order of training clips: as in the files, by source, by change, redrawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

import numpy as np

from nextframe.core.clip import as_float
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import ClipSet, Indices, Split

LOOKED_AT = 10  # clips of a source that its change is measured on
STILL = 0.1  # levels of 0-255 added to every change, so that a source that never moves is drawn too
POWER = 0.75  # of a change; 0 would draw all equally, at 1 a few noisy sources take most of a batch


Balance = Literal["clips", "sources", "changes", "redrawn", "in-order"]  # clips: epochs, in a random order


class Order(Protocol):
    """Which clips a training step shows."""

    def indices(self, step: int, size: int) -> Indices:
        """Return the `size` clip indices of training step `step`: a pure function of (seed, step)."""


class SourceTurns:
    """Sources take turns: each round has one clip of every source, in a new order.

    A source shows all its clips before it repeats one, each time in a new order.
    """

    def __init__(self, clips: ClipSet, split: Split, seed: int) -> None:
        """Sort the clips of `split` by source; UserError as for `clips_by_source`."""
        self.seed, self.sources = seed, clips_by_source(clips, split)
        self._orders: dict[int, tuple[int, Indices]] = {}  # for each source: full passes so far, and its order

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


class ChangingSources:
    """Sources are drawn in proportion to how much they change: most of the error comes from a few of them.

    A source's change is the mean of |first target frame - last context frame| in levels of 0-255, over a few of its
    clips, evenly chosen; its weight is (change + STILL) ** POWER. All clips of a source are equally likely.
    """

    def __init__(self, clips: ClipSet, split: Split, seed: int) -> None:
        """Measure some clips of every source of `split`; UserError as for `clips_by_source`."""
        self.seed, self.sources = seed, clips_by_source(clips, split)
        weights = np.array([(_change(clips, split, found) + STILL) ** POWER for found in self.sources])
        self.shares = weights / weights.sum()

    def indices(self, step: int, size: int) -> Indices:
        """Return the `size` clip indices of training step `step`: a pure function of (seed, step)."""
        random = numpy_generator(self.seed, "changing", step)
        chosen = random.choice(len(self.sources), size, p=self.shares)
        return np.array([random.choice(self.sources[source]) for source in chosen])


class Redrawn:
    """Every batch is a new draw from all clips, without repeats inside it: the catz code's sampling with replacement.

    Its generator shuffled the list of clips before each batch and took the first ones, so that in an "epoch" some clips
    come twice and others not at all.
    """

    def __init__(self, clips: ClipSet, split: Split, seed: int) -> None:
        """Count the clips of `split`; UserError as for `clip_count`."""
        self.seed, self.count = seed, clip_count(clips, split)

    def indices(self, step: int, size: int) -> Indices:
        """Return the `size` clip indices of training step `step`: a pure function of (seed, step).

        If a batch is larger than the split, all clips come as often as they fit in, and some once more.
        """
        random = numpy_generator(self.seed, "redrawn", step)
        shuffled = [random.permutation(self.count) for _ in range(-(-size // self.count))]
        return np.concatenate(shuffled)[:size].astype(np.int64)


class InOrder:
    """Clips one after another, as they stand in the files, from the first to the last and from the first again.

    The last clips, too few for a batch, are skipped, as in tencia/video_predict, whose LSTM is trained so.
    """

    def __init__(self, clips: ClipSet, split: Split, seed: int) -> None:
        """Count the clips of `split`; there is nothing to draw. UserError as for `clip_count`."""
        self.count = clip_count(clips, split)

    def indices(self, step: int, size: int) -> Indices:
        """Return the `size` clip indices of training step `step`; of a split smaller than a batch all, repeated."""
        whole = max(self.count // size, 1)
        return (step % whole * size + np.arange(size, dtype=np.int64)) % self.count


def order_of(balance: Balance, clips: ClipSet, split: Split, seed: int) -> Order | None:
    """Return the order of clips that `balance` names, None for epochs; UserError as for `clip_count`.

    Endless clips are never shuffled: they are in order as they come.
    """
    kinds: dict[str, Callable[[ClipSet, Split, int], Order]] = {
        "sources": SourceTurns,
        "changes": ChangingSources,
        "redrawn": Redrawn,
        "in-order": InOrder,
    }
    as_they_come = balance == "in-order" and clips.count(split) is None
    return None if balance == "clips" or as_they_come else kinds[balance](clips, split, seed)


def clips_by_source(clips: ClipSet, split: Split) -> list[Indices]:
    """Return the indices of every source's clips, sources in the order of their names.

    Raises:
        UserError: the split is endless, or has no clips.
    """
    by_source = dict[str, list[int]]()
    for index in range(clip_count(clips, split)):
        by_source.setdefault(clips.source(split, index), []).append(index)
    return [np.array(found, dtype=np.int64) for _, found in sorted(by_source.items())]


def clip_count(clips: ClipSet, split: Split) -> int:
    """Return how many clips `split` has.

    Raises:
        UserError: the split is endless, or has no clips.
    """
    count = clips.count(split)
    if count is None:
        raise UserError(f"{clips.name}: endless clips have no sources to balance: remove training.balance")
    if count == 0:
        raise UserError(f"{clips.name}: the {split} split has no clips")
    return count


def _change(clips: ClipSet, split: Split, found: Indices) -> float:
    looked_at = found[:: -(-len(found) // LOOKED_AT)]
    clip = clips.read(split, looked_at)
    steps = as_float(clip.target[:, :1]) - as_float(clip.context[:, -1:])
    return float(steps.abs().mean()) * 255
