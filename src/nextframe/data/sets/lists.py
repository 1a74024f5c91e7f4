"""Official train and test lists of action data sets, and the val part that is taken from train.

Followed: Soomro et al. 2012 (UCF-101), Kuehne et al. 2011 (HMDB-51), Schuldt et al. 2004 (KTH) with the split by
persons that video prediction uses (Villegas et al. 2017: 1 to 16 for training, 17 to 25 for testing).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nextframe.core.errors import BadInputError
from nextframe.data.clipset import Split
from nextframe.data.folder.listing import Found, Listing, name_of
from nextframe.data.folder.splits import split_by_name
from nextframe.media.names import natural_key

KTH_CLASSES = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")
KTH_TRAIN, KTH_PERSONS = 16, 25
KTH_NAME = re.compile(r"person(\d\d)_([a-z]+)_d\d(_uncomp)?\.avi", re.IGNORECASE)
HMDB_USES: dict[str, Split | None] = {"0": None, "1": "train", "2": "test"}


@dataclass
class Labelled:
    """Sources with their splits, the class of each by its name, and the names of the classes, in that order."""

    listing: Listing
    labels: dict[str, int] = field(default_factory=dict)
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A video of an official list: its path below the videos' folder; videos of one `group` must stay together."""

    name: str
    split: Split
    label: int
    group: str


def decoded(data: bytes, errors: str = "strict") -> str:
    """Return the text of a list, UTF-8 or what its byte order mark says, without that mark.

    Raises:
        UnicodeDecodeError: it is neither.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors)
    return data.decode("utf-8-sig", errors)


def list_ucf101(root: Path, number: int, val_share: float) -> Labelled:
    """Return UCF-101 by its official list `number` (1 to 3); classes are numbered as in classInd.txt, from 0.

    Val is `val_share` of the train groups (all clips cut from one video: CLASS_gNN), by a hash of the group's name.

    Raises:
        BadInputError: a list is missing or has a line of another form.
    """
    lists = root / "ucfTrainTestlist"
    classes = tuple(_field(line, 1, lists / "classInd.txt") for line in _lines(lists / "classInd.txt"))
    rows: list[Row] = []
    parts: tuple[Split, ...] = ("train", "test")
    for split in parts:
        file = lists / f"{split}list{number:02d}.txt"
        for line in _lines(file):
            name = line.split()[0]
            action = name.partition("/")[0]
            if action not in classes:
                raise BadInputError(file, f"the class of '{name}' is not in classInd.txt", "expected CLASS/v_*.avi")
            rows.append(Row(name, split, classes.index(action), name.rpartition("_")[0]))
        _check_once(file, rows)
    rule = f"official list {number}; val is {val_share:.0%} of the train groups, by a hash of their names"
    return _labelled(root / "UCF-101", rows, classes, val_share, rule)


def list_hmdb51(root: Path, number: int, val_share: float) -> Labelled:
    """Return HMDB-51 by its official split `number` (1 to 3): id 1 is train, 2 test, 0 unused; classes by alphabet.

    Val is `val_share` of the original train videos (the name before the class), by a hash of that name.

    Raises:
        BadInputError: no lists, or one with a line of another form.
    """
    lists, ending = root / "testTrainMulti_7030_splits", f"_test_split{number}.txt"
    files = sorted(lists.glob(f"*{ending}"))
    if not files:
        raise BadInputError(lists, f"it has no CLASS{ending}", "unpack the official lists there")
    classes = tuple(file.name.removesuffix(ending) for file in files)
    rows, unused = [], 0
    for label, (action, file) in enumerate(zip(classes, files, strict=True)):
        for line in _lines(file):
            use = _field(line, -1, file)
            name = line[: -len(use)].strip()
            if use not in HMDB_USES or not name:
                raise BadInputError(file, f"the line '{line}' is not FILE.avi and 0, 1 or 2")
            split = HMDB_USES[use]
            unused += split is None
            if split:
                rows.append(Row(f"{action}/{name}", split, label, name.partition(f"_{action}_")[0]))
        _check_once(file, rows)
    rule = (
        f"official split {number} ({unused} videos unused in it); val is {val_share:.0%} of the train videos, "
        "by a hash of their names"
    )
    return _labelled(root, rows, classes, val_share, rule)


def list_kth(root: Path, val_persons: Collection[int]) -> Labelled:
    """Return KTH: persons 17 to 25 are test, `val_persons` val, the rest of 1 to 16 train; the class is the action.

    The class numbers follow the alphabet. Videos may be anywhere below `root`, named personNN_ACTION_dK_uncomp.avi.
    """
    listing = Listing(has_splits=True, rule=f"persons 17 to 25 are test, {_and(val_persons)} val, the rest train")
    labels: dict[str, int] = {}
    for path in sorted(root.rglob("*.avi"), key=lambda file: natural_key(file.as_posix())):
        match, name = KTH_NAME.fullmatch(path.name), name_of(path, root)
        person, action = (int(match[1]), match[2].lower()) if match else (0, "")
        if not 1 <= person <= KTH_PERSONS or action not in KTH_CLASSES:
            listing.skipped.append((name, "its name is not personNN_ACTION_dK_uncomp.avi of the 25 persons"))
            continue
        split: Split = "test" if person > KTH_TRAIN else "val" if person in val_persons else "train"
        listing.found.append(Found(path, name, split))
        labels[name] = KTH_CLASSES.index(action)
    return Labelled(listing, labels, KTH_CLASSES)


def _and(persons: Collection[int]) -> str:
    return " and ".join(map(str, sorted(persons))) or "nobody"


def _labelled(folder: Path, rows: Sequence[Row], classes: tuple[str, ...], val_share: float, rule: str) -> Labelled:
    """Return the rows as sources: val is chosen from the whole list, so a part of the videos keeps its splits."""
    groups = {row.group: 1 for row in rows if row.split == "train"}
    chosen = split_by_name(groups, val_share, 0.0) if val_share > 0 and len(groups) >= 3 else {}
    listing = Listing(has_splits=True, rule=rule)
    for row in rows:
        split = chosen[row.group] if row.split == "train" and chosen else row.split
        if (folder / row.name).is_file():
            listing.found.append(Found(folder / row.name, row.name, split))
        else:
            listing.skipped.append((row.name, "the official list names it, but the file is missing"))
    return Labelled(listing, {row.name: row.label for row in rows}, classes)


def _lines(file: Path) -> Iterator[str]:
    try:
        text = decoded(file.read_bytes(), errors="replace")
    except OSError as error:
        raise BadInputError(file, f"cannot be read ({error.strerror})", "unpack the official lists there") from None
    return (line.strip() for line in text.splitlines() if line.strip())


def _field(line: str, number: int, file: Path) -> str:
    parts = line.split()
    if len(parts) < 2:
        raise BadInputError(file, f"the line '{line}' has one field", "expected two, separated by a space")
    return parts[number]


def _check_once(file: Path, rows: Sequence[Row]) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.name in seen:
            raise BadInputError(file, f"{row.name} is listed twice", "take the official lists of one split")
        seen.add(row.name)
