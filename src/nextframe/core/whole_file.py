"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nextframe.core.errors import BadInputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield the path of a temporary file beside `path`, of the same ending; it takes `path`'s place after the block.

    Missing folders are made. Whatever is raised in the block, the temporary file goes and `path` stays as it was.

    Raises:
        BadInputError: an OSError on the way: the folder or the file cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise BadInputError(path, f"cannot be written ({error.strerror or error})", "give another place") from None
