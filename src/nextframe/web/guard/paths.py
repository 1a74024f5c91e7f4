"""What a request may point at: uploads, and addresses that every part of the server reads alike."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nextframe.web.guard.bodies import Scope

REFUSED = set("\0/\\:")  # in the name of an upload, whichever of them the system takes for more than a letter


def paths_are_uploads(value: Any, uploads: Path) -> bool:
    """Whether every file (an object with a field "path") of a request is in the folder `uploads`; no URL is."""
    if isinstance(value, dict):
        named = "path" not in value or is_upload(value["path"], uploads)
        return named and all(paths_are_uploads(item, uploads) for key, item in value.items() if key != "path")
    if isinstance(value, list):
        return all(paths_are_uploads(item, uploads) for item in value)
    return True


def is_upload(path: Any, uploads: Path) -> bool:
    """Whether `path` has the form of an uploaded file (the folder, a hash, a name), and neither part is a link."""
    start = f"{uploads}{os.sep}"
    if not isinstance(path, str) or not path.startswith(start):
        return False
    parts = path.removeprefix(start).split(os.sep)
    plain = len(parts) == 2 and not any(part in ("", ".", "..") or REFUSED & set(part) for part in parts)
    return plain and not Path(path).is_symlink() and not Path(path).parent.is_symlink()


def is_plain(scope: Scope) -> bool:
    """Whether a URL contains nothing that another part of the server could interpret differently."""
    path = scope["path"]
    raw = scope.get("raw_path") or path.encode()
    return ".." not in path and "//" not in path and b"%" not in raw and path.isascii()
