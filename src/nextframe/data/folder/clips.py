"""A data set from anything that has frames: a file, or a folder of videos, animations, frame folders and arrays."""

from __future__ import annotations

import hashlib
import logging
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from nextframe.core.clip import Clip
from nextframe.core.conditions import NO_CONDITIONS, Conditions
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import SPLITS, ClipSet, DataConfig, Indices, Split
from nextframe.data.folder.contents import Contents, FolderConfig, look
from nextframe.data.folder.plan import ClipTable
from nextframe.data.folder.store import FrameStore, Member
from nextframe.media.fit import fit_image

LOG = logging.getLogger(__name__)
MIXED = 32  # blocks whose clips are mixed in the order of training
HELD_WHOLE = 512 * 2**20  # bytes: data sets up to this size, resized, stay in memory unless cache_mb says otherwise
ORDERS = 4  # that are kept, so that a step need not sort all clips


def open_path(config: DataConfig) -> SourceClips:
    """Return the clips of the file or folder that `config.name` is, or of several, separated by commas.

    `config.options` are those of `FolderConfig`.

    Raises:
        BadInputError: nothing that can be read.
        UserError: sources of different sizes without `size`, or no clip because all sources are too short.
    """
    options = FolderConfig.parse(config.options, f"options of {config.name}")
    return SourceClips(config, options, look(config, options))


class SourceClips(ClipSet):
    """Clips of sources of any size, length and kind, brought to one frame shape."""

    def __init__(self, config: DataConfig, options: FolderConfig, contents: Contents) -> None:
        self.name, self.task, self.config, self.options, self.contents = (
            config.name, config.task, config, options, contents,
        )  # fmt: skip
        shares = options.val_share, options.test_share
        self._stretches = contents.stretches(self.span, shares, options.across_cuts)
        later = options.eval_step or self.span  # frames from the start of a val or test clip to the next
        self.tables = {
            split: ClipTable(found, self.span, options.clip_step if split == "train" else later)
            for split, found in self._stretches.items()
        }
        used = np.unique(np.concatenate([table.members for table in self.tables.values()]))
        if not len(used):
            raise UserError(self._too_short())
        members = [contents.members[number] for number in used]
        self.frame_shape = (_channels(config, members), *_size(config, members))
        self.fps = statistics.median(m.index.fps for m in members) / config.stride
        self._prepare_reading()
        if contents.skipped:
            first = "; ".join(f"{name} ({why})" for name, why in contents.skipped[:3])
            more = f" and {len(contents.skipped) - 3} more" if len(contents.skipped) > 3 else ""
            LOG.warning("%s: %d sources skipped: %s%s", self.name, len(contents.skipped), first, more)
        contents.warn_of_cut(self.name)

    @property
    def span(self) -> int:
        """Frames of a source, before the stride, from the first to the last of a clip."""
        return (self.task.length - 1) * self.config.stride + 1

    def _too_short(self) -> str:
        return f"{self.name}: no clip fits: {self._lengths(*SPLITS)}; ask for a smaller context, horizon or stride"

    def _lengths(self, *splits: Split) -> str:
        needed = f"{self.task.context} + {self.task.horizon}" if self.task.is_forecast else "the task's"
        stride = f" at stride {self.config.stride}" if self.config.stride > 1 else ""
        longest = max((s.stop - s.first for split in splits for s in self._stretches[split]), default=0)
        return f"a clip needs {self.span} frames ({needed}{stride}), the longest stretch without a cut has {longest}"

    def why_empty(self, split: Split) -> str:
        """Return one line that says why `split` has no clips, with the numbers; "" if it has some."""
        if len(self.tables[split]):
            return ""
        if not self._stretches[split]:
            return f"{split} has no clips: no source is in it"
        fix = f"; a larger data.options.{split}_share makes it longer" if None in self.contents.splits else ""
        return f"{split} has no clips: {self._lengths(split)}{fix if split != 'train' else ''}"

    def _prepare_reading(self) -> None:
        options, members = self.options, self.contents.members
        place_later = self.config.fit == "random-crop"
        fit = None if place_later else partial(fit_image, size=self.frame_shape[1:], fit=self.config.fit)
        room = options.cache_mb * 2**20
        whole = 0 if place_later else sum(m.index.frames for m in members) * int(np.prod(self.frame_shape))
        self._whole = 0 < whole <= HELD_WHOLE and "cache_mb" not in options.model_fields_set
        held = max(room, whole) if self._whole else room
        self._store = FrameStore(members, self.frame_shape[0], self.config.color, fit, held)
        sizes = [m.index.height * m.index.width for m in members] if place_later else [np.prod(self.frame_shape[1:])]
        together = room // 2 // (int(max(sizes)) * self.frame_shape[0])  # frames that a group of blocks may hold
        block = max(1, min(256, together // MIXED) - self.span)
        for table in self.tables.values():
            table.make_blocks(block)
        self._together = max(1, min(MIXED, together // (block + self.span)))
        self._orders: dict[tuple[Split, int, int], Indices] = {}

    def count(self, split: Split) -> int:
        """Return how many clips `split` has; 0 if its sources are too short."""
        return len(self.tables[split])

    def source(self, split: Split, index: int) -> str:
        """Return the name of the source that clip `index` is cut from: its path inside the data set."""
        return self.contents.members[int(self.tables[split].members[index])].name

    def facts(self) -> dict[str, Any]:
        """Return the numbers of clips, sources and frames, and a checksum of what the sources are."""
        members, splits = self.contents.members, self.contents.splits
        alone = len(members) == 1  # its name decides nothing
        each = [("" if alone else m.name, m.index.frames, m.index.height, m.index.width) for m in members]
        digest = hashlib.sha256(repr(list(zip(each, splits, strict=True))).encode()).hexdigest()
        frames = sum(member.index.frames for member in members)
        return {**super().facts(), "sources": len(members), "frames": frames, "digest": digest}

    def frame_ids(self, split: Split, indices: Indices) -> Indices:
        """Return frame ids, (N, task.length); clips that share a frame of a source share its id."""
        if self.config.fit == "random-crop":  # each clip has its own crop
            return super().frame_ids(split, indices)
        ends = np.cumsum([member.index.frames for member in self.contents.members])
        return np.asarray(ends[self.tables[split].members[indices]][:, None] - 1 - self._numbers(split, indices))

    def order(self, split: Split, seed: int, epoch: int) -> Indices:
        """Return the order of `epoch`: clips that are close in a file come close together, batches mix files.

        Once a process has called it, `read` decodes ahead what the order will need next.
        """
        key = (split, seed, epoch)
        if key not in self._orders:
            if len(self._orders) >= ORDERS:
                self._orders.pop(next(iter(self._orders)))
            self._orders[key] = self.tables[split].order(self._together, seed, epoch)
        return self._orders[key]

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` of `split` as one uint8 batch, in that order.

        Raises:
            UserError: the split has no clips, or a source changed or is damaged.
        """
        table = self.tables[split]
        if not len(table):
            raise UserError(f"{self.name}: {self.why_empty(split)}")
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(table):
            raise IndexError(f"{split} has clips 0 to {len(table) - 1}, asked for {indices.min()} to {indices.max()}")
        clips = torch.empty((len(indices), self.task.length, *self.frame_shape), dtype=torch.uint8)
        members = table.members[indices]
        for member in np.unique(members):
            self._fill(clips, split, int(member), np.flatnonzero(members == member), indices)
        return self.task.split(clips, self._conditions(split, indices))

    def _conditions(self, split: Split, indices: Indices) -> Conditions:
        """Return what is known of each frame that clips span, (B, task.length, N)."""
        timed = self.contents.timed
        if timed is None or not len(indices):
            return NO_CONDITIONS
        members, numbers = self.tables[split].members[indices].tolist(), self._numbers(split, indices)
        each = [timed.at(member, own, self.config.stride) for member, own in zip(members, numbers, strict=True)]
        return Conditions({name: torch.from_numpy(np.stack([found[name] for found in each])) for name in each[0]})

    def _fill(self, clips: torch.Tensor, split: Split, member: int, rows: Indices, indices: Indices) -> None:
        """Write the clips of one source into their rows of the batch."""
        chosen = indices[rows]
        numbers = self._numbers(split, chosen)
        # the rest of a block is needed soon, or can be kept until it is
        ordered = self._whole or any(key[0] == split for key in self._orders)
        more = partial(self._blocks, split, chosen) if ordered else tuple
        frames = self._store.frames(member, np.unique(numbers).tolist(), more)
        out = clips.numpy()
        for row, index, clip in zip(rows, chosen, numbers.tolist(), strict=True):
            place = self._place(split, int(index))
            for time_, number in enumerate(clip):
                frame = frames[number]
                if place is not None:
                    frame = fit_image(frame, self.frame_shape[1:], "random-crop", place)
                out[row, time_] = frame.transpose(2, 0, 1)

    def _numbers(self, split: Split, clips: Indices) -> Indices:
        """Return the frame numbers (N, T) of clips, before the stride."""
        return self.tables[split].firsts[clips][:, None] + np.arange(self.task.length) * self.config.stride

    def _blocks(self, split: Split, clips: Indices) -> Sequence[int]:
        table = self.tables[split]
        blocks = {(part.start, part.stop) for part in (table.block_of(int(clip)) for clip in clips)}
        wanted = [self._numbers(split, np.arange(*block)).ravel() for block in blocks]
        numbers: list[int] = np.unique(np.concatenate(wanted)).tolist()
        return numbers

    def _place(self, split: Split, index: int) -> tuple[float, float] | None:
        """Return where a random crop is cut: the same for all frames of a clip, and each time it is read."""
        if self.config.fit != "random-crop":
            return None
        down, across = numpy_generator("random-crop", split, index).random(2).tolist()
        return down, across


def _channels(config: DataConfig, members: Sequence[Member]) -> int:
    if config.color is None:
        return 1 if all(m.index.channels == 1 for m in members) else 3
    return 1 if config.color == "grey" else 3


def _size(config: DataConfig, members: Sequence[Member]) -> tuple[int, int]:
    if config.size is not None:
        return config.size
    sizes = {(m.index.height, m.index.width): m.name for m in members}
    if len(sizes) > 1:
        (first, one), (second, other), *_ = sizes.items()
        raise UserError(
            f"{config.name}: sources have {len(sizes)} sizes ({one} is {first[0]}x{first[1]}, {other} {second[0]}x"
            f"{second[1]}); choose one with --size HEIGHTxWIDTH (in Python size=)"
        )
    return next(iter(sizes))
