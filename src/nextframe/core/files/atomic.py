"""A folder that is replaced as a whole: a reader sees the old one or the new one, never half of each."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def previous_of(folder: Path) -> Path:
    """Return where the replaced folder is kept until the new one is in place."""
    return folder.with_name(f".{folder.name}.previous")


def settled(folder: Path) -> Path:
    """Return `folder`, or its predecessor if a kill came between the two renames of `replaced_folder`."""
    previous = previous_of(folder)
    return previous if not folder.exists() and previous.is_dir() else folder


@contextmanager
def replaced_folder(folder: Path, *, keep_previous: bool = False) -> Iterator[Path]:
    """Yield an empty temporary folder; what is written there becomes `folder`, flushed to disk and renamed.

    On an exception the temporary folder is removed and `folder` is unchanged. With `keep_previous` the
    replaced folder is kept next to the new one, at `previous_of(folder)`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # left by a killed process
    temporary.mkdir()
    try:
        yield temporary
        _flush_tree(temporary)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    _swap(temporary, folder)
    if not keep_previous:
        shutil.rmtree(previous_of(folder), ignore_errors=True)


def _swap(temporary: Path, folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(previous_of(folder), ignore_errors=True)
        os.rename(folder, previous_of(folder))
    os.rename(temporary, folder)
    flush(folder.parent)


def _flush_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        flush(path)
    flush(folder)


def flush(path: Path) -> None:
    """Flush a file or folder to disk now, so that a rename after it never points at missing data."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows flushes what may be written
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
