"""Which sources a file or folder holds, and the split that its folders assign to them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from nextframe.core.errors import BadInputError
from nextframe.data.clipset import Split
from nextframe.media.names import IMAGE_ENDINGS, natural_key, series_of
from nextframe.media.reader import sniff
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.tiff.stack import is_stack

VIDEO_ENDINGS = [
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".mpg",
    ".mpeg",
    ".mp2",
    ".m2v",
    ".ts",
    ".mts",
    ".m2ts",
    ".flv",
    ".wmv",
    ".asf",
    ".ogv",
    ".ogg",
    ".3gp",
    ".3g2",
    ".vob",
    ".mxf",
    ".h264",
    ".264",
    ".hevc",
    ".h265",
    ".265",
    ".av1",
    ".ivf",
    ".obu",
    ".y4m",
    ".mjpeg",
    ".mjpg",
    ".dv",
    ".rm",
    ".rmvb",
    ".nut",
    ".qt",
    ".f4v",
    ".divx",
    ".m1v",
]
OTHER_ENDINGS = (".gif", ".apng", ".npy", ".npz")
CONVERTED = {".mat": "a MATLAB file", ".h5": "an HDF5 file", ".hdf5": "an HDF5 file", ".tfrecord": "a TFRecord file"}
# what Synology, QNAP, macOS and Windows put into folders: thumbnails and deleted files
SYSTEM_FOLDERS = {
    "@eadir", "@recycle", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "system volume information",
    "lost+found",
}  # fmt: skip
SYSTEM = "a folder of the system, with thumbnails or deleted files"
ANIMATED = ("gif", "apng", "webp", "avif")
SPLIT_FOLDERS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Found:
    """A file or frame folder that should be a source; `name` is its path in the data set, `split` its folder's."""

    path: Path
    name: str
    split: Split | None = None


@dataclass
class Listing:
    """What a path holds: sources, files that were skipped at once with the reason, and counts of other endings."""

    found: list[Found] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    has_splits: bool = False
    by: str = "folder"  # what gives the splits, if something does
    rule: str = ""  # how the splits were chosen, if that is done and nothing is to be added


def paths_of(name: str) -> list[Path]:
    """Return the path that `name` is, or the paths that it names, separated by commas."""
    if Path(name).exists() or "," not in name:
        return [Path(name)]
    return [Path(part.strip()) for part in name.split(",") if part.strip()]


def list_all(paths: Sequence[Path], reading: Reading = DEFAULT) -> Listing:
    """Return the sources of all `paths`; of several, each name begins with that of its path, as if below one parent.

    Raises:
        BadInputError: a missing path, two of one name, or one with a train folder beside one without.
    """
    if len(paths) == 1:
        return list_sources(paths[0], reading)
    whole, parts = Listing(), [list_sources(path, reading) for path in paths]
    for number, (path, part) in enumerate(zip(paths, parts, strict=True)):
        if not path.exists():
            raise BadInputError(path, "no such file or folder")
        if path.absolute().name in {other.absolute().name for other in paths[:number]}:
            raise BadInputError(path, "has the same name as another of the paths", "give the folder above them")
        if part.has_splits != parts[0].has_splits:
            raise BadInputError(path, "some of the paths have a train folder and some do not", "give one path")
        top = path.absolute().name
        for found in part.found:
            name = found.name if path.is_file() else f"{top}/{found.name}"
            whole.found.append(replace(found, name=name))
        whole.skipped += [(f"{top}/{name}", why) for name, why in part.skipped]
        whole.others.update(part.others)
    whole.has_splits = parts[0].has_splits
    return whole


def list_sources(path: Path, reading: Reading = DEFAULT) -> Listing:
    """Return the sources at `path`: a file itself, or all below a folder, in natural order of their names.

    A folder with still images is one source, its frames, or as many as there are series in it, such as a_0 and b_0;
    videos, animations, TIFFs of many pages and array files are each one. Directly below `path`, folders called train,
    val and test (or training, valid, validation, testing) decide the split, and what is next to them is skipped.
    """
    listing = Listing()
    if not path.is_dir():
        listing.found.append(Found(path, name_of(path, path)))
        return listing
    splits = {
        f: SPLIT_FOLDERS[f.name.lower()] for f in path.iterdir() if f.is_dir() and f.name.lower() in SPLIT_FOLDERS
    }
    listing.has_splits = "train" in splits.values()
    for folder, split in splits.items() if listing.has_splits else [(path, None)]:
        _walk(folder, path, split, listing, reading)
    if listing.has_splits:
        beside = [f for f in path.iterdir() if f not in splits and not f.name.startswith(".")]
        listing.skipped += [(f.name, "it is next to the train, val and test folders") for f in beside if f.is_dir()]
        listing.others.update(f.suffix.lower() or f.name for f in beside if f.is_file())
    listing.found.sort(key=lambda found: natural_key(found.name))
    return listing


def list_directly(folder: Path, reading: Reading = DEFAULT) -> Listing:
    """Return the sources that stand in `folder` itself, not in folders below it, by the rules of `list_sources`."""
    listing = Listing()
    with os.scandir(folder) as entries:
        files = [entry.name for entry in entries if not entry.name.startswith(".") and not entry.is_dir()]
    _look_into(folder, files, folder, None, listing, reading)
    listing.found.sort(key=lambda found: natural_key(found.name))
    return listing


def name_of(path: Path, root: Path) -> str:
    """Return the name of a source: its path below `root` (a root's own name), non-UTF-8 bytes as \\xNN."""
    name = path.relative_to(root).as_posix() if path != root else root.name
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _walk(top: Path, root: Path, split: Split | None, listing: Listing, reading: Reading) -> None:
    def unreadable(error: OSError) -> None:
        listing.skipped.append((name_of(Path(error.filename), root), f"cannot be read ({error.strerror})"))

    seen = set()
    for name, folders, files in os.walk(top, onerror=unreadable, followlinks=True):
        real = os.path.realpath(name)
        listing.skipped += [(name_of(Path(name, f), root), SYSTEM) for f in folders if f.lower() in SYSTEM_FOLDERS]
        folders[:] = [] if real in seen else [f for f in folders if not _is_hidden(f)]
        if real not in seen:
            _look_into(Path(name), [f for f in files if not f.startswith(".")], root, split, listing, reading)
        seen.add(real)


def _is_hidden(folder: str) -> bool:
    return folder.startswith(".") or folder.lower() in SYSTEM_FOLDERS


def _look_into(
    folder: Path, files: list[str], root: Path, split: Split | None, listing: Listing, reading: Reading
) -> None:
    def add(path: Path) -> None:
        listing.found.append(Found(path, name_of(path, root), split))

    stills, animations = list[str](), 0
    for file in sorted(files):  # a folder may have very many: what is a frame gets no path object
        place, ending = os.path.join(folder, file), os.path.splitext(file)[1].lower()
        kind = _kind(place, ending, reading) if os.path.isfile(place) else "none"
        if kind == "none":
            listing.skipped.append((name_of(Path(place), root), _what_is(Path(place))))
        elif kind == "still":
            stills.append(file)
        elif kind == "other" and ending in CONVERTED:
            listing.skipped.append((name_of(Path(place), root), f"{CONVERTED[ending]}: save its frames as .npy"))
        elif kind == "other":
            listing.others[ending or file] += 1
        else:
            animations += ending in IMAGE_ENDINGS
            add(Path(place))
    if stills and not animations:
        series = series_of(stills) if reading.series == "apart" else {}
        for path in [folder / pattern for pattern in series] or [folder]:
            add(path)
    listing.skipped += [
        (name_of(folder / still, root), "a still image next to animations") for still in stills if animations
    ]


def _what_is(path: Path) -> str:
    """Return why a name that is not a folder is not a file: a pipe must not be opened, it may never end."""
    if os.path.islink(path) and not os.path.exists(path):
        return "a link to nothing"
    try:
        path.stat()
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return "not a regular file (a pipe or device)"


def _kind(place: str, ending: str, reading: Reading) -> str:
    """Return "source", "still" (a frame of its folder) or "other"; the content decides if endings do not."""
    if ending in VIDEO_ENDINGS or ending in OTHER_ENDINGS:
        return "source"
    if ending in (".tif", ".tiff"):
        return "source" if reading.pages == "all" and is_stack(Path(place)) else "still"
    try:
        kind = sniff(Path(place)) if ending in (".png", ".webp", ".avif") or ending not in IMAGE_ENDINGS else "image"
    except BadInputError:
        kind = "image"
    if kind in ANIMATED:
        return "source"
    return "still" if ending in IMAGE_ENDINGS else "other"
