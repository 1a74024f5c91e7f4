"""A folder that one process at a time writes to; a process that is killed leaves no lock behind."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nextframe.core.errors import BadInputError
from nextframe.core.files.room import FULL, full

LOG = logging.getLogger(__name__)
LOCK = ".lock"  # the file stays; what counts is the system's lock on it, which ends with the process


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Make `folder` and hold it for this process in the block.

    Raises:
        BadInputError: another process holds it, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        if error.errno in FULL:
            raise full(folder) from None
        raise BadInputError(folder, f"cannot be written ({error.strerror})", "give another folder") from None
    try:
        if not _take(descriptor, folder):
            raise BadInputError(folder, f"another process{_who(descriptor)} is writing to it", "wait, or give another")
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        try:
            yield
        finally:
            os.truncate(descriptor, 0)  # equal runs leave equal folders
    finally:
        os.close(descriptor)  # and with it the lock


def _take(descriptor: int, folder: Path) -> bool:
    """Return whether the lock is ours now."""
    try:
        import fcntl
    except ImportError:  # Windows, where a second run fails as soon as it replaces an open file
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        LOG.warning("%s cannot be locked (%s): do not write to it from two processes", folder, error.strerror)
    return True


def _who(descriptor: int) -> str:
    number = os.pread(descriptor, 20, 0).decode(errors="replace")
    return f" ({number})" if number.isdigit() else ""
