"""Files that are mapped and not loaded: the system ends a process that touches a part which is gone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from nextframe.core.errors import BadInputError


def check_whole(array: NDArray[Any], path: Path) -> None:
    """Check, before a part of a mapped array is read, that its file was not made shorter; other arrays are fine.

    Raises:
        BadInputError: it was.
    """
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and mapped.size() < len(mapped):
        what = f"{mapped.size():,} of {len(mapped):,} bytes are left: it was made shorter while it was read"
        raise BadInputError(path, what, "put the whole file there")
