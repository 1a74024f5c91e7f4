"""Motion JPEG without a container: photographs one after another in one file, as cameras send them."""

from __future__ import annotations

import mmap
import re
from pathlib import Path

MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")  # not a stuffed byte, a restart or a fill byte
END, EXTRA = 0xD9, 0xE2
MULTI_PICTURE = b"MPF\0"  # previews and gain maps of the one photograph follow it (CIPA DC-007)


def is_motion_jpeg(path: Path) -> bool:
    """Return whether the JPEG at `path` is followed by another one that is not a part of it (ISO 10918-1, annex B)."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at = 2
        while (found := MARKER.search(data, at)) is not None:
            at, kind = found.end(), data[found.end() - 1]
            if kind == END:
                return data[at : at + 3] == b"\xff\xd8\xff"
            if kind == EXTRA and data[at + 2 : at + 6] == MULTI_PICTURE:
                return False
            at += int.from_bytes(data[at : at + 2], "big")
    return False
