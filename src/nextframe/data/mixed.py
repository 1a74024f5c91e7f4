"""Several clip sets as one, each with a share of the training clips."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import noise_of
from nextframe.data.clipset import SPLITS, ClipSet, Indices, Split, check_indices, mix_name, short_name

LOG = logging.getLogger(__name__)
PART = "part"  # the extra of clips that are not finished: which set they are of
LONGEST = 10_000  # clips after which the turns of the sets repeat at the latest: shares are exact to 1 / LONGEST


class MixedClips(ClipSet):
    """Clips of several sets of one task and one frame shape.

    Train never ends: the set of clip i depends on i and the shares alone, and of any n clips in a row a set with
    share s has n * s, give or take one (with more than two sets: less than two). A finite set is shown in whole
    epochs, each in the set's own order. Val and test are those of all sets, one set after another: what one set holds
    out is never trained on, and each clip counts once, whatever the shares.

    Conditions are kept if all sets have the same ones, extras if those that have them agree; a warning says which
    others differ. Clips of a set without an extra that others have get zeros, and `NAME_known` says so, see `Clip`.

    Sets may finish their clips on the device, if what they read has the shape of their frames: each does it for its
    own clips of a batch.
    """

    def __init__(self, parts: Sequence[ClipSet], shares: Sequence[float], names: Sequence[str] = ()) -> None:
        """Mix `parts`.

        Args:
            parts: the clip sets.
            shares: above 0, in any unit: 7 and 3 are 0.7 and 0.3.
            names: of the parts, in messages and before the names of sources; None: their own.

        Raises:
            UserError: no part, tasks or frames that differ, or a share of less than 1 in 10,000.
        """
        if not parts or len(shares) != len(parts):
            raise UserError(f"a mix needs sets and a share for each, not {len(parts)} sets and {len(shares)} shares")
        given = [short_name(name) for name in names or [part.name for part in parts]]
        self.parts, self.name = tuple(parts), mix_name(given, shares)
        self.names = [f"{name}-{n}" if given.count(name) > 1 else name for n, name in enumerate(given, 1)]
        first = parts[0]
        self.task, self.frame_shape, self.fps = first.task, first.frame_shape, first.fps
        self._counts = np.array(whole_shares(shares))
        self._turns = turns(self._counts.tolist())
        self._before = np.zeros_like(self._turns)  # for each turn: how many turns of the period its set had before
        for part, count in enumerate(self._counts):
            self._before[self._turns == part] = np.arange(count)
        self._check()

    def _check(self) -> None:
        """Refuse sets whose frames do not fit together; find what else their clips have in common."""
        for name, part in zip(self.names, self.parts, strict=True):
            if part.task != self.task:
                raise UserError(f"{self.name}: {name} has {part.task}, {self.names[0]} {self.task}: use one task")
            if part.frame_shape != self.frame_shape:
                shapes = (f"{n} has {_shape(p.frame_shape)}" for n, p in ((name, part), (self.names[0], self.parts[0])))
                raise UserError(f"{self.name}: frames differ, {', '.join(shapes)}; set data.size and data.color")
        samples = [_sample(part) for part in self.parts]
        types = {sample.context.dtype for sample in samples}
        if len(types) > 1:
            raise UserError(f"{self.name}: frames of {' and '.join(sorted(map(str, types)))} cannot be mixed")
        self._drawn = any(type(part).on_device is not ClipSet.on_device for part in self.parts)
        self._read_extras = _agreed(samples)
        self._mark = PART  # a set may be a mix itself, and then has marks of its own
        while self._mark in self._read_extras:
            self._mark += "_"
        self._keep_alike([_finished(part, sample) for part, sample in zip(self.parts, samples, strict=True)])

    def _keep_alike(self, samples: Sequence[Clip]) -> None:
        """Find what clips of the sets have in common, besides frames; `samples` are one of each."""
        carried = [_carried(part, sample) for part, sample in zip(self.parts, samples, strict=True)]
        self._extras = _agreed(samples)
        has = {name: [each[name] for each in carried if name in each] for each in carried for name in each}
        everywhere = [name for name, kinds in has.items() if kinds == [kinds[0]] * len(self.parts)]
        self._kept = [name for name in everywhere if name not in self._extras]
        self._partial = [name for name in self._extras if len(has[name]) < len(self.parts)]
        self.classes = self.parts[0].classes if "label" in self._kept else ()
        for name in sorted(has.keys() - set(self._kept) - self._extras.keys()):
            of = (f"{n} has {each.get(name, ('none',))[0]}" for n, each in zip(self.names, carried, strict=True))
            LOG.warning("%s: clips come without '%s', which differs: %s", self.name, name, ", ".join(of))

    def count(self, split: Split) -> int | None:
        """Return None for train, which never ends, else the clips of all sets together."""
        counts = [part.count(split) for part in self.parts]
        return None if split == "train" else _total(counts)

    def place(self, split: Split, indices: Indices) -> tuple[Indices, Indices]:
        """Return which set each of clips `indices` is of, and its index there, two (N,).

        Raises:
            UserError: a set without clips in a split that never ends.
        """
        counts = [part.count(split) for part in self.parts]
        total = None if split == "train" else _total(counts)
        if total is None:
            return self._stream(split, indices, counts)
        check_indices(self, split, indices)
        ends = np.cumsum([count or 0 for count in counts])
        parts = np.searchsorted(ends, indices, side="right")
        return parts, indices - (ends - [count or 0 for count in counts])[parts]

    def _stream(self, split: Split, indices: Indices, counts: Sequence[int | None]) -> tuple[Indices, Indices]:
        """Return sets and indices when the sets take turns by their shares."""
        periods, places = np.divmod(indices, len(self._turns))
        parts = self._turns[places]
        own = periods * self._counts[parts] + self._before[places]  # how many clips the set has shown before
        for part, count in enumerate(counts):
            if count == 0:
                raise UserError(f"{self.name}: the {split} split of {self.names[part]} has no clips")
            if count is not None:
                rows = parts == part
                own[rows] = self._in_epochs(part, split, own[rows], count)
        return parts, own

    def _in_epochs(self, part: int, split: Split, shown: Indices, count: int) -> Indices:
        epochs, places = np.divmod(shown, count)
        orders = {int(epoch): self.parts[part].order(split, part, int(epoch)) for epoch in np.unique(epochs)}
        return np.array([orders[e][p] for e, p in zip(epochs.tolist(), places.tolist(), strict=True)], dtype=np.int64)

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` as one batch, in that order; each set reads all its own together."""
        parts, own = self.place(split, indices)
        clips = [
            self._alike(self.parts[number].read(split, own[mine]), None if self._drawn else number)
            for number, mine in _rows_of(parts)
        ]
        joined = Clip.join(clips)[_back(parts)]
        return replace(joined, extras={**joined.extras, self._mark: torch.from_numpy(parts)}) if self._drawn else joined

    def on_device(self, split: Split, clip: Clip, device: torch.device | str) -> Clip:
        """Return what `read` returned on `device`, each clip finished by its own set."""
        if not self._drawn:
            return clip.to(device)
        parts = clip.extras[self._mark].cpu().numpy()
        finished = []
        for number, mine in _rows_of(parts):
            rows = torch.from_numpy(mine)
            with noise_of(rows):
                own = self.parts[number].on_device(split, clip[rows.to(clip.context.device)], device)
            finished.append(self._alike(own, number))
        return Clip.join(finished)[_back(parts).to(device)]

    def _alike(self, clip: Clip, number: int | None) -> Clip:
        """Return a clip of set `number` with what all sets have, and all extras, zeros where the set has none.

        None: the clip is not finished, and gets what is read.
        """
        wanted = self._read_extras if number is None else self._extras
        extras = {name: clip.extras.get(name, _zeros(value, clip)) for name, value in wanted.items()}
        if number is not None:
            known = {name: torch.full((len(clip),), name in clip.extras) for name in self._partial}
            extras |= {f"{name}_known": value.to(clip.context.device) for name, value in known.items()}
        return replace(clip, conditions=clip.conditions.only(self._kept), extras=extras)

    def source(self, split: Split, index: int) -> str:
        """Return the source of clip `index`, after the name of its set."""
        part, own = self._place_of(split, index)
        return f"{self.names[part]}/{self.parts[part].source(split, own)}"

    def label(self, split: Split, index: int) -> int | None:
        """Return the class of clip `index`, if all sets have the same classes."""
        part, own = self._place_of(split, index)
        return self.parts[part].label(split, own) if "label" in self._kept else None

    def frame_ids(self, split: Split, indices: Indices) -> Indices:
        """Return an id for each frame, (N, task.length); those of different sets differ."""
        parts, own = self.place(split, indices)
        ids = np.empty((len(indices), self.task.length), np.int64)
        for number, part in enumerate(self.parts):
            mine = parts == number
            if mine.any():
                ids[mine] = part.frame_ids(split, own[mine]) * len(self.parts) + number
        return ids

    def _place_of(self, split: Split, index: int) -> tuple[int, int]:
        parts, own = self.place(split, np.array([index]))
        return int(parts[0]), int(own[0])


def whole_shares(shares: Sequence[float]) -> list[int]:
    """Return whole numbers in proportion to `shares`, exact if their sum can be at most `LONGEST`: [7, 3].

    Raises:
        UserError: a share of at most 0, or of less than 1 in `LONGEST`.
    """
    if not all(0 < share < math.inf for share in shares):
        raise UserError(f"shares of a mix must be numbers above 0, not {', '.join(map(str, shares))}")
    exact = [Fraction(str(share)) for share in shares]
    parts = [share / sum(exact) for share in exact]
    period = min(LONGEST, math.lcm(*(part.denominator for part in parts)))
    counts = [int(part * period) for part in parts]
    if 0 in counts:
        raise UserError(f"share {shares[counts.index(0)]} of a mix is less than 1 in {LONGEST:,}: remove that set")
    by_remainder = sorted(range(len(parts)), key=lambda n: counts[n] - parts[n] * period)
    for number in by_remainder[: period - sum(counts)]:
        counts[number] += 1
    return counts


def turns(counts: Sequence[int]) -> Indices:
    """Return which of k sets has each turn, (sum(counts),); after every turn no set is far from its share.

    Tijdeman 1980, "The chairman assignment problem": after n turns a set with share s had n * s, give or take
    1 - 1 / (2 k - 2). Of the sets that are behind by at least 1 / (2 k - 2), the one that would be too far behind first
    has the turn.
    """
    period, k = sum(counts), len(counts)
    if k == 1:
        return np.zeros(period, np.int64)
    had, order, scale = [0] * k, [], 2 * k - 2
    for turn in range(1, period + 1):
        behind = [scale * (turn * count - had[n] * period) for n, count in enumerate(counts)]
        allowed = [n for n in range(k) if behind[n] >= period]
        chosen = min(allowed, key=lambda n: ((scale - 1) * period - behind[n]) / counts[n])
        had[chosen] += 1
        order.append(chosen)
    return np.array(order, np.int64)


def _total(counts: Sequence[int | None]) -> int | None:
    """Return the sum; None if one of them never ends."""
    return None if None in counts else sum(count or 0 for count in counts)


def _carried(part: ClipSet, clip: Clip) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return what the clips of a set have besides frames: by name, its kind in words, and its classes."""
    known = {name: (_words(value), ()) for name, value in [*clip.conditions.items(), *clip.extras.items()]}
    timed = {name: (f"{known[name][0]} with a time axis", ()) for name in clip.conditions.timed}
    count = f"{len(part.classes)} classes ({', '.join(part.classes[:3])}...)" if part.classes else "unnamed classes"
    return known | timed | ({"label": (count, part.classes)} if "label" in known else {})


def _words(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {tuple(value.shape[1:])}"


def _sample(part: ClipSet) -> Clip:
    clip = part.read(_some_split(part), np.zeros(1, np.int64))
    if tuple(clip.context.shape[2:]) != tuple(part.frame_shape):
        raise UserError(
            f"{part.name}: its clips are read as {_shape(clip.context.shape[2:])} and finished on the device, so they "
            "cannot be mixed"
        )
    return clip


def _agreed(samples: Sequence[Clip]) -> dict[str, Tensor]:
    """Return the extras that are of one kind wherever they are, each as one of the sets has it."""
    found: dict[str, list[Tensor]] = {}
    for name, value in [item for sample in samples for item in sample.extras.items()]:
        found.setdefault(name, []).append(value)
    return {name: values[0] for name, values in found.items() if len({_words(value) for value in values}) == 1}


def _finished(part: ClipSet, clip: Clip) -> Clip:
    if type(part).on_device is ClipSet.on_device:
        return clip
    return part.on_device(_some_split(part), clip, "cpu")


def _some_split(part: ClipSet) -> Split:
    split = next((split for split in SPLITS if part.count(split) != 0), None)
    if split is None:
        raise UserError(f"{part.name}: it has no clips")
    return split


def _rows_of(parts: Indices) -> list[tuple[int, Indices]]:
    """Return each set that has clips, and which clips they are."""
    return [(int(number), np.flatnonzero(parts == number)) for number in np.unique(parts)]


def _back(parts: Indices) -> Tensor:
    """Return the order that puts clips which are sorted by set back to their places."""
    return torch.from_numpy(np.argsort(np.argsort(parts, kind="stable")))


def _zeros(like: Tensor, clip: Clip) -> Tensor:
    return torch.zeros(len(clip), *like.shape[1:], dtype=like.dtype, device=clip.context.device)


def _shape(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[2]} with {shape[0]} channel{'s' if shape[0] > 1 else ''}"
