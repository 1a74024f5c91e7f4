"""The user's own videos with classes: a folder with a sub-folder for each class, or a text file that lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from nextframe.core.errors import BadInputError, UserError
from nextframe.data.clipset import DataConfig, Split
from nextframe.data.folder.contents import look_at
from nextframe.data.folder.listing import SPLIT_FOLDERS, Found, Listing, list_sources, name_of
from nextframe.data.folder.splits import split_by_name
from nextframe.data.sets.lists import Labelled, decoded
from nextframe.data.sets.local import LocalConfig, RegisteredClips
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.video.index import index_source

LAYOUT = "ROOT/CLASS/VIDEO or ROOT/train/CLASS/VIDEO, or a text file with PATH CLASS [train|val|test] on each line"
FEW = 3  # sources of a class below which they are divided by time


def open_labelled(config: DataConfig) -> RegisteredClips:
    """Return the clips of videos with classes; `config.options` are those of `LocalConfig`.

    If neither folders nor the file give the splits, each class is divided by itself: by a hash of the source's
    name, or, with fewer than three sources, every source by time (train, then val, then test).

    Raises:
        BadInputError: a file or folder that is missing or has another layout, or fewer than two classes.
    """
    options = LocalConfig.parse(config.options, f"options of {config.name}")
    if not options.root:
        raise UserError(f"data set 'labelled' needs --root PATH: {LAYOUT}")
    root = Path(options.root).expanduser()
    labelled = list_file(root) if root.is_file() else list_classes(root, options.reading)
    if len(labelled.classes) < 2:
        raise BadInputError(root, f"{len(labelled.classes)} class found, at least two are needed", f"expected {LAYOUT}")
    if not labelled.listing.has_splits:
        _divide(labelled, options, config)
    return RegisteredClips(config, options, look_at(root, labelled.listing, config, options), labelled)


def list_classes(root: Path, reading: Reading = DEFAULT) -> Labelled:
    """Return the sources below `root`, the class of each the folder below `root`, or below train, val and test."""
    if not root.is_dir():
        raise BadInputError(root, "there is no such file or folder", f"expected {LAYOUT}")
    listing = list_sources(root, reading)
    names: dict[str, str] = {}
    for found in listing.found:
        parts = Path(found.name).parts
        if listing.has_splits and parts[0].lower() in SPLIT_FOLDERS:
            parts = parts[1:]
        if found.path.is_file() and len(parts) < 2:
            raise BadInputError(root / found.name, "is not in a class folder", f"expected {LAYOUT}")
        names[found.name] = parts[0]
    return _numbered(listing, names)


def list_file(path: Path) -> Labelled:
    """Return the sources of a text file: PATH CLASS [SPLIT] a line, paths relative to the file's folder.

    Empty lines and those that begin with # are skipped. Fields are split at tabs or, if there are none, at commas or
    spaces; a path may have spaces or commas in it, and fields may stand in quotes.
    """
    listing, names = Listing(), dict[str, str]()
    for number, line in enumerate(_text(path).splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        fields = _fields(path.parent, line.strip())
        found, action = _row(path, number, fields)
        if found.name in names:
            raise BadInputError(path, f"line {number}: {found.name} is listed twice")
        listing.found.append(found)
        names[found.name] = action
    splits = [found.split is not None for found in listing.found]
    if any(splits) and not all(splits):
        raise BadInputError(path, "some lines give a split and some do not", "give it on every line or on none")
    listing.has_splits = any(splits)
    listing.rule = "as the file says" if listing.has_splits else ""
    return _numbered(listing, names)


def _text(path: Path) -> str:
    try:
        return decoded(path.read_bytes())
    except (OSError, UnicodeDecodeError):
        raise BadInputError(path, "is not a readable text file", f"expected {LAYOUT}") from None


def _fields(folder: Path, line: str) -> list[str]:
    """Return the fields of a line; a path with spaces or commas ends where one exists."""
    if "\t" in line:
        return [field.strip() for field in line.split("\t") if field.strip()]
    quoted = re.fullmatch(r"""(["'])(.+?)\1[\s,]+(.+)""", line)
    if quoted:
        return [quoted[2], *re.split(r"[\s,]+", quoted[3])]
    words, commas = line.split(), [field.strip() for field in line.split(",")]
    parted = [re.fullmatch(r"(.+?)" + r"[\s,]+([^\s,]+)" * count, line) for count in (1, 2)]
    found = [list(fields.groups()) for fields in parted if fields]
    for fields in [commas, *found, words] if len(commas) in (2, 3) else [*found, words]:
        if name := _there(folder, fields[0]):
            return [name, *fields[1:]]
    has_split = words[-1].lower() in SPLIT_FOLDERS
    return found[-1 if has_split else 0] if found else words


def _there(folder: Path, name: str) -> str:
    """Return `name` if it is a path below `folder`, with / for the backslashes of Windows if needed; "" if not."""
    return next((spelt for spelt in (name, name.replace("\\", "/")) if (folder / spelt).exists()), "")


def _row(path: Path, number: int, fields: list[str]) -> tuple[Found, str]:
    if len(fields) not in (2, 3):
        raise BadInputError(path, f"line {number} has {len(fields)} fields", "expected PATH CLASS [SPLIT]")
    split = SPLIT_FOLDERS.get(fields[2].lower()) if len(fields) == 3 else None
    if len(fields) == 3 and split is None:
        raise BadInputError(path, f"line {number}: '{fields[2]}' is not a split", "write train, val or test")
    source = path.parent / fields[0]
    if not source.exists():
        raise BadInputError(path, f"line {number}: there is no {fields[0]}", "paths are relative to the file's folder")
    return Found(source, name_of(Path(fields[0]), Path()), split), fields[1]


def _numbered(listing: Listing, names: Mapping[str, str]) -> Labelled:
    classes = tuple(sorted(set(names.values())))
    return Labelled(listing, {name: classes.index(action) for name, action in names.items()}, classes)


def _divide(labelled: Labelled, options: LocalConfig, config: DataConfig) -> None:
    """Give each source its split, class by class, so that each split has all classes; return the rule in words."""
    listing, few = labelled.listing, []
    splits: dict[str, Split] = {}
    for number, name in enumerate(labelled.classes):
        own = [found for found in listing.found if labelled.labels[found.name] == number]
        lengths = {found.name: _length(found, config, options) for found in own}
        lengths = {source: frames for source, frames in lengths.items() if frames}
        if len(lengths) < FEW:
            few.append(name)
        else:
            splits |= split_by_name(lengths, options.val_share, options.test_share)
    listing.found = [replace(found, split=splits.get(found.name)) for found in listing.found]
    shares = f"{options.val_share:.0%} val, {options.test_share:.0%} test"
    listing.rule = f"each class by a hash of the source's name ({shares})"
    if few:
        listing.rule += f"; with fewer than {FEW} sources each by time: {', '.join(few)}"
    listing.has_splits = not few


def _length(found: Found, config: DataConfig, options: LocalConfig) -> int:
    """Return the number of frames of a source; 0 if it cannot be read (it is skipped later, with the reason)."""
    try:
        return index_source(found.path, config.color, options.reading).frames
    except BadInputError:
        return 0
