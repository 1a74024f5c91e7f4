"""What a path holds: its sources, each indexed once, and the split that each is in."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from nextframe.core.errors import BadInputError
from nextframe.data.clipset import SPLITS, DataConfig, Indices, Split
from nextframe.data.folder.listing import Found, Listing, list_all, paths_of
from nextframe.data.folder.plan import Stretch, without_cuts
from nextframe.data.folder.splits import split_by_name, split_by_time
from nextframe.data.folder.store import Member
from nextframe.media.reading import Reading
from nextframe.media.video.index import index_source
from nextframe.media.video.kept import SourceIndex

LOG = logging.getLogger(__name__)
SAY_EVERY = 10.0  # seconds between log lines while sources are indexed


class FolderConfig(Reading):
    """Options of a data set that is a path.

    A clip starts every `clip_step` frames in train; val and test clips start every `eval_step` (None: one after
    another, without overlap). Shares are of the sources, or of the frames if there are fewer than 3 sources.
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


class Timed(Protocol):
    """What is known of every frame of every source, besides how it looks."""

    def at(self, member: int, frames: Indices, stride: int) -> dict[str, NDArray[np.float32]]:
        """Return conditions by name, each with an entry (T, N) for `frames` (T,) of a source.

        Each of the frames is `stride` after the one before it, so an entry may tell of what lies between them.
        """


@dataclass
class Contents:
    """What a path holds once every source is indexed."""

    root: Path
    members: list[Member] = field(default_factory=list)
    splits: list[Split | None] = field(default_factory=list)  # None: divided by time
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    rule: str = ""
    about: tuple[str, ...] = ()  # lines that `nextframe data` shows of the whole
    timed: Timed | None = None

    def stretches(self, span: int, shares: tuple[float, float], across_cuts: bool) -> dict[Split, list[Stretch]]:
        """Return the stretches that clips of `span` frames may be cut from in each split, ascending.

        If no source has a split, they are divided by time, `shares` of their frames for val and test; a stretch
        crosses scene cuts only with `across_cuts`.
        """
        found: dict[Split, list[Stretch]] = {split: [] for split in SPLITS}
        for number, (member, own) in enumerate(zip(self.members, self.splits, strict=True)):
            frames = member.index.frames
            parts = {own: (0, frames)} if own else split_by_time(frames, span, *shares)
            for split, (first, stop) in parts.items():
                stretch = Stretch(number, first, stop)
                found[split] += [stretch] if across_cuts else without_cuts(stretch, member.index.cuts)
        return found

    def warn_of_cut(self, name: str) -> None:
        """Log which sources end before they should; `name` begins the line."""
        cut = [f"{member.name} ({member.index.missing})" for member in self.members if member.index.missing]
        if cut:
            more = f" and {len(cut) - 3} more" if len(cut) > 3 else ""
            LOG.warning("%s: %d sources end early: %s%s", name, len(cut), "; ".join(cut[:3]), more)


def look(config: DataConfig, options: FolderConfig, *, fresh: bool = False) -> Contents:
    """Return what the path of `config` holds; `fresh` decodes every source even if its index is cached.

    Raises:
        BadInputError: the file cannot be read, or no source of the folder can be.
    """
    paths = paths_of(config.name)
    root = Path(config.name)
    return look_at(
        root,
        list_all(paths, options.reading),
        config,
        options,
        fresh=fresh,
        alone=len(paths) == 1 and not root.is_dir(),
    )


def look_at(
    root: Path, listing: Listing, config: DataConfig, options: FolderConfig, *, fresh: bool = False, alone: bool = False
) -> Contents:
    """Return what the sources of a listing hold, each decoded once; one that cannot be read is skipped unless `alone`.

    Raises:
        BadInputError: no source can be read, or the one that is alone cannot.
    """
    contents = Contents(root, skipped=list(listing.skipped), others=dict(listing.others))
    said = time.monotonic()
    for done, found in enumerate(listing.found):
        if time.monotonic() - said > SAY_EVERY:
            LOG.info("indexing sources: %d of %d", done, len(listing.found))
            said = time.monotonic()
        try:
            _add(contents, found, index_source(found.path, config.color, options.reading, fresh=fresh), options.reading)
        except BadInputError as error:
            if alone:
                raise
            contents.skipped.append((found.name, reason(error, found.path)))
    if not contents.members:
        raise _nothing(root, contents)
    assign_splits(contents, listing, options)
    return contents


def reason(error: BadInputError, path: Path) -> str:
    """Return why a source is skipped, naming the file inside it if that is the bad one."""
    inside = Path(error.path)
    return error.what if inside == path.absolute() or inside == path else f"{inside.name}: {error.what}"


def _add(contents: Contents, found: Found, index: SourceIndex, reading: Reading) -> None:
    for sequence in range(index.sequences):
        name = found.name if index.sequences == 1 else f"{found.name}[{sequence}]"
        contents.members.append(Member(found.path, name, index, sequence, reading))
        contents.splits.append(found.split)


def _nothing(root: Path, contents: Contents) -> BadInputError:
    if contents.skipped:
        name, why = contents.skipped[0]
        return BadInputError(root, f"none of its {len(contents.skipped)} sources can be read", f"{name}: {why}")
    fix = "expected videos, GIFs, WebPs, folders of images or .npy files"
    return BadInputError(root, "it holds nothing that has frames", fix)


def assign_splits(contents: Contents, listing: Listing, options: FolderConfig) -> None:
    """Give each member its split, and `contents` the rule in words.

    Those that `listing` has stay; val, and test, are taken from train if it has none. Otherwise the name decides, or
    time if there are fewer than three sources.
    """
    free = {m.name: m.index.frames for m, s in zip(contents.members, contents.splits, strict=True) if s is None}
    shares = f"{options.val_share:.0%} val, {options.test_share:.0%} test"
    if listing.rule:
        contents.rule = listing.rule
    elif listing.has_splits:
        contents.rule = f"by {listing.by}"
        _complete(contents, options)
    elif len(free) < 3:
        count = "one source" if len(free) == 1 else "two sources"
        contents.rule = f"by time: {count} (train, then val, then test; {shares}; one clip's length between unused)"
    else:
        contents.rule = f"by a hash of the source's name ({shares})"
        chosen = split_by_name(free, options.val_share, options.test_share)
        contents.splits = [chosen[member.name] for member in contents.members]


def _complete(contents: Contents, options: FolderConfig) -> None:
    """Take val, and test, from train if it has no sources of its own."""
    missing = [split for split in ("val", "test") if split not in contents.splits]
    train = {m.name: m.index.frames for m, s in zip(contents.members, contents.splits, strict=True) if s == "train"}
    if not missing or len(train) < 3:
        return
    val, test = (
        share if name in missing else 0.0 for name, share in (("val", options.val_share), ("test", options.test_share))
    )
    chosen = split_by_name(train, val, test)
    contents.splits = [chosen.get(m.name, s) for m, s in zip(contents.members, contents.splits, strict=True)]
    contents.rule += f"; {' and '.join(missing)} taken from train by a hash of the source's name"
