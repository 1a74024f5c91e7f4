"""A disk that is full, whatever notices it: one line that says which file, and how much room there is."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nextframe.core.errors import BadInputError

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # no room, no quota, a file over the limit of the process
MIB = 2**20


@contextmanager
def room_for(path: Path, needs: int = 0) -> Iterator[None]:
    """Turn what a full disk causes in the block into a BadInputError that names `path`, or the file that did not fit.

    torch and safetensors hide the system's error in others of their own; it is looked for in all of them. `needs` is
    about how many bytes are written; 0: not known.
    """
    try:
        yield
    except BadInputError:
        raise
    except Exception as error:
        if _number(error) not in FULL:
            raise
        if isinstance(error.__context__, BadInputError):  # said already; then closing a file failed as well
            raise error.__context__ from None
        raise full(Path(getattr(error, "filename", None) or path), needs) from None


def full(path: Path, needs: int = 0) -> BadInputError:
    """Return the error of a disk without room for `path`, which takes about `needs` bytes (0: not known)."""
    above = next(place for place in (path, *path.absolute().parents) if place.exists())
    free = shutil.disk_usage(above).free
    wanted = f", about {needs / MIB:,.1f} MiB are needed" if needs else ""
    what = f"cannot be written: the disk is full ({free / MIB:,.1f} MiB are free{wanted})"
    return BadInputError(path, what, "make room there, or give another place")


def _number(error: BaseException | None) -> int | None:
    """Return the number of the system's error that is behind `error`."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return error.errno
        if told := re.search(r"\(os error (\d+)\)", str(error)):  # safetensors has only the text
            return int(told[1])
        error = error.__cause__ or error.__context__
    return None
