"""One data set over anything that has frames: a file, or a folder of videos, animations, frame folders and arrays."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from pydantic import Field, model_validator

from nextframe.core.clip import Clip
from nextframe.core.config import Config
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.seeding import numpy_generator
from nextframe.data.clipset import SPLITS, ClipSet, DataConfig, Indices, Split
from nextframe.data.folder.listing import Found, Listing, list_all, paths_of
from nextframe.data.folder.plan import ClipTable, Stretch, without_cuts
from nextframe.data.folder.splits import split_by_name, split_by_time
from nextframe.data.folder.store import FrameStore, Member
from nextframe.media.fit import fit_image
from nextframe.media.source import Image
from nextframe.media.video.index import SourceIndex, index_source

LOG = logging.getLogger(__name__)
MIXED = 32  # blocks whose clips are mixed in the order of training
HELD_WHOLE = 512 * 2**20  # bytes: a data set of so much at its final size is held, unless cache_mb says otherwise
ORDERS = 4  # that are kept, so that a step need not sort all clips
SAY_EVERY = 10.0  # seconds between lines while sources are looked at


class FolderConfig(Config):
    """Options of a data set that is a path.

    A clip starts every `clip_step` frames in train; val and test clips start every `eval_step` (None: one after
    another, without overlap). Shares are of the sources, or of the frames where there are fewer than 3 sources.
    """

    across_cuts: bool = Field(False, description="let clips cross scene cuts")
    clip_step: int = Field(1, ge=1, description="frames from the start of one train clip to the next")
    eval_step: int | None = Field(None, ge=1, description="the same for val and test; null: clips do not overlap")
    val_share: float = Field(0.1, ge=0, lt=1, description="of the sources, or of the frames if there are few sources")
    test_share: float = Field(0.1, ge=0, lt=1, description="the same for test")
    cache_mb: int = Field(128, ge=1, description="MiB of decoded frames held, in each process that reads")

    @model_validator(mode="after")
    def _some_to_train(self) -> FolderConfig:
        if self.val_share + self.test_share >= 1:
            raise ValueError("val_share and test_share leave nothing to train on")
        return self


@dataclass
class Contents:
    """What a path holds once every source was looked at."""

    root: Path
    members: list[Member] = field(default_factory=list)
    splits: list[Split | None] = field(default_factory=list)  # None: divided by time
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    rule: str = ""


def open_path(config: DataConfig) -> SourceClips:
    """Return the clips of the file or folder that `config.name` is, or of several with commas between them.

    `config.options` are those of `FolderConfig`.

    Raises:
        BadInputError: nothing that can be read.
        UserError: sizes that differ without `size`, or no clip because all sources are too short.
    """
    options = FolderConfig.parse(config.options, f"options of {config.name}")
    return SourceClips(config, options, look(config, options))


def look(config: DataConfig, options: FolderConfig, *, fresh: bool = False) -> Contents:
    """Return what the path of `config` holds; `fresh` decodes every source even where its index is kept.

    Raises:
        BadInputError: the file is bad, or every source of the folder is.
    """
    paths = paths_of(config.name)
    root = Path(config.name)
    return look_at(root, list_all(paths), config, options, fresh=fresh, alone=len(paths) == 1 and not root.is_dir())


def look_at(
    root: Path, listing: Listing, config: DataConfig, options: FolderConfig, *, fresh: bool = False, alone: bool = False
) -> Contents:
    """Return what the sources of a listing hold, each decoded once; one that is bad is skipped unless `alone`.

    Raises:
        BadInputError: every source is bad, or the one that is alone.
    """
    contents = Contents(root, skipped=list(listing.skipped), others=dict(listing.others))
    said = time.monotonic()
    for done, found in enumerate(listing.found):
        if time.monotonic() - said > SAY_EVERY:
            LOG.info("looking at sources: %d of %d", done, len(listing.found))
            said = time.monotonic()
        try:
            _add(contents, found, index_source(found.path, config.color, fresh=fresh))
        except BadInputError as error:
            if alone:
                raise
            contents.skipped.append((found.name, reason(error, found.path)))
    if not contents.members:
        raise _nothing(root, contents)
    _assign(contents, listing, options)
    return contents


def reason(error: BadInputError, path: Path) -> str:
    """Return why a source is skipped, naming the file inside it where that is the bad one."""
    inside = Path(error.path)
    return error.what if inside == path.absolute() or inside == path else f"{inside.name}: {error.what}"


def _add(contents: Contents, found: Found, index: SourceIndex) -> None:
    for sequence in range(index.sequences):
        name = found.name if index.sequences == 1 else f"{found.name}[{sequence}]"
        contents.members.append(Member(found.path, name, index, sequence))
        contents.splits.append(found.split)


def _nothing(root: Path, contents: Contents) -> BadInputError:
    if contents.skipped:
        name, why = contents.skipped[0]
        return BadInputError(root, f"none of its {len(contents.skipped)} sources can be read", f"{name}: {why}")
    fix = "expected videos, GIFs, WebPs, folders of images or .npy files"
    return BadInputError(root, "there is nothing in it that has frames", fix)


def _assign(contents: Contents, listing: Listing, options: FolderConfig) -> None:
    """Give each member its split and say by which rule."""
    free = {m.name: m.index.frames for m, s in zip(contents.members, contents.splits, strict=True) if s is None}
    shares = f"{options.val_share:.0%} val, {options.test_share:.0%} test"
    if listing.rule:
        contents.rule = listing.rule
    elif listing.has_splits:
        contents.rule = "by folder"
        _complete_folders(contents, options)
    elif len(free) < 3:
        count = "one source" if len(free) == 1 else "two sources"
        contents.rule = f"by time: {count} (train, then val, then test; {shares}; one clip's length between unused)"
    else:
        contents.rule = f"by a hash of the source's name ({shares})"
        chosen = split_by_name(free, options.val_share, options.test_share)
        contents.splits = [chosen[member.name] for member in contents.members]


def _complete_folders(contents: Contents, options: FolderConfig) -> None:
    """Take val, and test, from the train folder where there is no folder for it."""
    missing = [split for split in ("val", "test") if split not in contents.splits]
    train = {m.name: m.index.frames for m, s in zip(contents.members, contents.splits, strict=True) if s == "train"}
    if not missing or len(train) < 3:
        return
    val, test = (
        share if name in missing else 0.0 for name, share in (("val", options.val_share), ("test", options.test_share))
    )
    chosen = split_by_name(train, val, test)
    contents.splits = [chosen.get(m.name, s) for m, s in zip(contents.members, contents.splits, strict=True)]
    contents.rule = f"by folder; {' and '.join(missing)} taken from train by a hash of the source's name"


class SourceClips(ClipSet):
    """Clips of sources of any size, length and kind, brought to one frame shape."""

    def __init__(self, config: DataConfig, options: FolderConfig, contents: Contents) -> None:
        self.name, self.task, self.config, self.options, self.contents = (
            config.name, config.task, config, options, contents,
        )  # fmt: skip
        self.tables = {split: self._table(split) for split in SPLITS}
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

    @property
    def span(self) -> int:
        """Frames of a source, before the stride, from the first to the last of a clip."""
        return (self.task.length - 1) * self.config.stride + 1

    def _table(self, split: Split) -> ClipTable:
        step = self.options.clip_step if split == "train" else self.options.eval_step or self.span
        return ClipTable(list(self._stretches(split)), self.span, step)

    def _stretches(self, split: Split) -> list[Stretch]:
        options, found = self.options, []
        for number, (member, own) in enumerate(zip(self.contents.members, self.contents.splits, strict=True)):
            frames = member.index.frames
            parts = (
                {own: (0, frames)} if own else split_by_time(frames, self.span, options.val_share, options.test_share)
            )
            if split in parts:
                whole = Stretch(number, *parts[split])
                found += [whole] if options.across_cuts else without_cuts(whole, member.index.cuts)
        return found

    def _too_short(self) -> str:
        return f"{self.name}: no clip fits: {self._lengths(*SPLITS)}; ask for a smaller context, horizon or stride"

    def _lengths(self, *splits: Split) -> str:
        needed = f"{self.task.context} + {self.task.horizon}" if self.task.is_forecast else "the task's"
        stride = f" at stride {self.config.stride}" if self.config.stride > 1 else ""
        longest = max((s.stop - s.first for split in splits for s in self._stretches(split)), default=0)
        return f"a clip needs {self.span} frames ({needed}{stride}), the longest stretch without a cut has {longest}"

    def why_empty(self, split: Split) -> str:
        """Return one line that says why `split` has no clips, with the numbers; nothing where it has some."""
        if len(self.tables[split]):
            return ""
        if not self._stretches(split):
            return f"{split} has no clips: no source is in it"
        fix = f"; a larger data.options.{split}_share makes it longer" if None in self.contents.splits else ""
        return f"{split} has no clips: {self._lengths(split)}{fix if split != 'train' else ''}"

    def _prepare_reading(self) -> None:
        options, members = self.options, self.contents.members
        place_later = self.config.fit == "random-crop"
        fit = _as_it_is if place_later else partial(fit_image, size=self.frame_shape[1:], fit=self.config.fit)
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
        """Return how many clips `split` has; 0 where its sources are too short."""
        return len(self.tables[split])

    def source(self, split: Split, index: int) -> str:
        """Return the name of the source that clip `index` is cut from: its path below the data set."""
        return self.contents.members[int(self.tables[split].members[index])].name

    def frame_ids(self, split: Split, indices: Indices) -> Indices:
        """Return numbers of frames, (N, task.length); clips that share a frame of a source share its number."""
        if self.config.fit == "random-crop":  # each clip has a crop of its own
            return super().frame_ids(split, indices)
        ends = np.cumsum([member.index.frames for member in self.contents.members])
        return np.asarray(ends[self.tables[split].members[indices]][:, None] - 1 - self._numbers(split, indices))

    def order(self, split: Split, seed: int, epoch: int) -> Indices:
        """Return the order of `epoch`: clips near each other in a file come close together, batches mix files.

        Once a process has asked for it, `read` decodes ahead what the order will want next.
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
        return self.task.split(clips)

    def _fill(self, clips: torch.Tensor, split: Split, member: int, rows: Indices, indices: Indices) -> None:
        """Write the clips of one source into their rows of the batch."""
        chosen = indices[rows]
        numbers = self._numbers(split, chosen)
        # the rest of a block is wanted soon, or can be kept until it is
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


def _as_it_is(image: Image) -> Image:
    return image


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
            f"{second[1]}); choose one with --size HEIGHTxWIDTH"
        )
    return next(iter(sizes))
