"""A folder that one process at a time writes to; a process that is killed leaves no lock behind."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nextframe.core.errors import BadInputError
from nextframe.core.files.room import FULL, full

LOG = logging.getLogger(__name__)
LOCK = ".lock"  # the file stays; what counts is the system's lock on it, which ends with the process
BEYOND = 1 << 30  # the byte that Windows locks: it lets nobody read a locked one, and the number stands in front


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
        _sign(descriptor)
        try:
            yield
        finally:
            os.truncate(descriptor, 0)  # equal runs leave equal folders
    finally:
        os.close(descriptor)  # and with it the lock


def _take(descriptor: int, folder: Path) -> bool:
    """Return whether the lock is ours now."""
    try:
        return _taken(descriptor)
    except OSError as error:
        LOG.warning("%s cannot be locked (%s): do not write to it from two processes", folder, error.strerror)
    return True


def _taken(descriptor: int) -> bool:
    """Return whether the system gave us the lock; OSError if it has none for such a folder."""
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sign(descriptor: int) -> None:
    """Write the number of this process, for others to name it."""
    os.truncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, str(os.getpid()).encode())


def _who(descriptor: int) -> str:
    os.lseek(descriptor, 0, os.SEEK_SET)
    number = os.read(descriptor, 20).decode(errors="replace")
    return f" ({number})" if number.isdigit() else ""
