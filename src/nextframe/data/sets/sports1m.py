"""Sports-1M (Karpathy et al. 2014): YouTube videos by the lists of their ids, as many of them as a local copy has.

The lists are the published ones: a line is a video's address and the numbers of its labels. Videos with several labels
have no class here. Of the million videos any part will do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from nextframe.core.errors import BadInputError
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import DataConfig, Split
from nextframe.data.folder.contents import Contents, look_at
from nextframe.data.folder.listing import Found, Listing, list_directly
from nextframe.data.folder.plan import Stretch
from nextframe.data.folder.splits import split_by_name
from nextframe.data.sets.lists import Labelled, decoded
from nextframe.data.sets.local import FACTS, LocalConfig, RegisteredClips, opened

LINE = re.compile(r"\S*[?&]v=([\w-]{11})\s+(\d+(?:,\d+)*)")
PARTS: dict[str, Split] = {"train_partition.txt": "train", "test_partition.txt": "test"}


class Sports1MConfig(LocalConfig):
    """Options of Sports-1M; `val_share` is a share of the train videos."""

    FIXED: ClassVar[tuple[str, ...]] = ("test_share",)

    seconds: float | None = Field(
        None, gt=0, description="of each video one part of so many seconds, at a place by its name; the paper's are 10"
    )


def open_sports1m(config: DataConfig) -> RegisteredClips:
    """Return the clips of the videos that are there; options are those of `Sports1MConfig`.

    Raises:
        UserError: no copy, a list that is missing or of another form, or no listed video.
    """
    options, root = opened("sports1m", config, Sports1MConfig)
    labelled = list_sports1m(root, options)
    contents = look_at(root, labelled.listing, config, options)
    if options.seconds is not None:
        contents = Excerpts(**vars(contents), seconds=options.seconds)
    return RegisteredClips(config, options, contents, labelled)


def list_sports1m(root: Path, options: Sports1MConfig) -> Labelled:
    """Return the videos of ROOT/videos that the lists name: their splits, and the class of those with one label."""
    lists = root / "original" if (root / "original").is_dir() else root
    known = {part: _listed(lists / file) for file, part in PARTS.items()}
    if both := known["train"].keys() & known["test"].keys():
        raise BadInputError(lists, f"both lists have the video {min(both)}", "take the lists of one partition")
    classes = tuple(_lines(root / "labels.txt"))
    if not (root / "videos").is_dir():
        raise BadInputError(root, "it has no folder 'videos'", f"lay it out as {FACTS['sports1m'].layout}")
    listing, labels = Listing(has_splits=True), dict[str, int]()
    for video in list_directly(root / "videos", options.reading).found:
        split = next((part for part, ids in known.items() if video.path.stem in ids), None)
        if split is None:
            listing.skipped.append((video.name, "no list has a video of this name"))
            continue
        numbers = known[split][video.path.stem]
        if len(numbers) == 1:
            labels[video.name] = _class(numbers[0], classes, root / "labels.txt")
        listing.found.append(Found(video.path, video.name, split))
    if not listing.found:
        raise BadInputError(root / "videos", "it has no video of the lists", "name videos by their YouTube ids")
    listing.found = _with_val(listing.found, options.val_share)
    listing.rule = f"the published lists; val is {options.val_share:.0%} of the train videos, by a hash of their names"
    return Labelled(listing, labels, classes)


def _listed(file: Path) -> dict[str, list[int]]:
    """Return the labels of each video of a list, by its id."""
    found: dict[str, list[int]] = {}
    for number, line in enumerate(_lines(file), 1):
        match = LINE.fullmatch(line)
        if match is None:
            raise BadInputError(file, f"line {number} is not an address and the numbers of labels", f"'{line[:80]}'")
        found[match[1]] = sorted({*found.get(match[1], []), *map(int, match[2].split(","))})
    return found


def _lines(file: Path) -> list[str]:
    try:
        text = decoded(file.read_bytes())
    except (OSError, UnicodeDecodeError):
        layout = f"lay it out as {FACTS['sports1m'].layout}, its lists unpacked"
        raise BadInputError(file, "is not a readable list", layout) from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def _class(number: int, classes: tuple[str, ...], file: Path) -> int:
    if number >= len(classes):
        raise BadInputError(file, f"it has {len(classes)} labels, the lists have number {number}", "take all of it")
    return number


def _with_val(found: list[Found], share: float) -> list[Found]:
    """Return the videos with a share of the train ones in val."""
    train = {video.name: 1 for video in found if video.split == "train"}
    chosen = split_by_name(train, share, 0.0) if share > 0 and len(train) >= 3 else {}
    return [Found(video.path, video.name, chosen.get(video.name, video.split)) for video in found]


class Excerpts(Contents):
    """Contents of which clips are cut from one part of each video, of so many seconds, at a place by its name."""

    def __init__(self, *, seconds: float, **fields: object) -> None:
        super().__init__(**fields)  # type: ignore[arg-type]
        self.seconds = seconds

    def stretches(self, span: int, shares: tuple[float, float], across_cuts: bool) -> dict[Split, list[Stretch]]:
        """Return the stretches within the chosen part of each source."""
        whole = super().stretches(span, shares, across_cuts)
        parts = [self._part(number) for number in range(len(self.members))]
        return {
            split: [
                Stretch(one.member, max(one.first, parts[one.member][0]), min(one.stop, parts[one.member][1]))
                for one in found
                if max(one.first, parts[one.member][0]) < min(one.stop, parts[one.member][1])
            ]
            for split, found in whole.items()
        }

    def _part(self, number: int) -> tuple[int, int]:
        member = self.members[number]
        frames = max(1, round(self.seconds * member.index.fps))
        free = max(0, member.index.frames - frames)
        first = int(numpy_generator("excerpt", member.name).integers(free + 1))
        return first, first + frames
