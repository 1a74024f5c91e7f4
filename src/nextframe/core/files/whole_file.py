"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nextframe.core.errors import BadInputError
from nextframe.core.files.room import FULL, full


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file next to `path`, with the same ending; it replaces `path` after the block.

    Missing folders are made. If the block raises, the temporary file is removed and `path` is unchanged. What a link
    points to is replaced, not the link; a pipe or terminal (/dev/stdout) is written to directly.

    Raises:
        BadInputError: an OSError on the way: the folder or the file cannot be written.
    """
    if not path.name or os.path.isdir(path):
        raise BadInputError(path, "is a folder", "give the name of a file")
    place = Path(os.path.realpath(path))
    temporary = place.with_name(f".{place.stem}.{os.getpid()}{path.suffix}")
    try:
        if _is_stream(path):
            yield path
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, place)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _unwritten(path, error) from None


@contextmanager
def whole_files(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder in or next to `folder`, into which its files move after the block, over those there.

    If the block raises, they are removed and `folder` is unchanged, or not made.

    Raises:
        BadInputError: as `whole_file`.
    """
    place = Path(os.path.realpath(folder))
    temporary = (place if place.is_dir() else place.parent) / f".{place.name}.{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        try:
            yield temporary
            place.mkdir(exist_ok=True)
            for path in sorted(temporary.iterdir()):
                os.replace(path, place / path.name)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise _unwritten(folder, error) from None


def write_whole(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all.

    Raises:
        BadInputError: the file cannot be written there.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file `path` in hexadecimal digits, as `sha256sum` prints it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path) -> None:
    """Refuse, before any work, a file that could not be written at the end; nothing is made yet.

    Raises:
        BadInputError: it is a folder, or the nearest existing path above it is not a folder or not writable.
    """
    if os.path.isdir(path):
        raise BadInputError(path, "is a folder", "give the name of a file")
    if not _is_stream(path):
        _check_above(path, path.parent)


def check_folder(folder: Path) -> None:
    """Refuse, before any work, a folder, existing or to be made, that could not be written to.

    Raises:
        BadInputError: it, or the nearest existing path above it, is not a folder or not writable.
    """
    _check_above(folder, folder)


def check_apart(output: Path, source: str | os.PathLike[str], *, inside: bool = True) -> None:
    """Refuse, before any work, an output that would replace the input or, with `inside`, lie among its frames.

    Raises:
        BadInputError: `output` is the file or folder `source`, by whatever path, or is directly in that folder.
    """
    place, origin = (Path(os.path.realpath(path)) for path in (output, source))
    if place == origin:
        raise BadInputError(output, "is the input itself, which would be lost", "give another output")
    if inside and os.path.isdir(origin) and place.parent == origin:
        raise BadInputError(
            output, "is in the input folder, where it would be read as a part of it", "give another output"
        )


def _check_above(path: Path, folder: Path) -> None:
    above = next(place for place in (folder, *folder.parents, Path()) if os.path.lexists(place))
    if not os.path.isdir(above):
        raise BadInputError(path, f"cannot be written: {above} is not a folder", "give another path")
    if not os.access(above, os.W_OK | os.X_OK):
        raise BadInputError(path, f"cannot be written: permission denied for {above}", "give another path")


def _unwritten(path: Path, error: OSError) -> BadInputError:
    if error.errno in FULL:
        return full(path)
    return BadInputError(path, f"cannot be written ({error.strerror or error})", "give another path")


def _is_stream(path: Path) -> bool:
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def free_name(folder: Path, name: str, ending: str = "") -> Path:
    """Return folder/NAMEending, or the first of NAME-2, NAME-3... with that ending under which there is nothing."""
    path, number = folder / f"{name}{ending}", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{name}-{number}{ending}"
    return path
