"""The file that says what a folder of prepared clips holds, and from what it was made."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.lock import LOCK
from nextframe.core.files.whole_file import sha256_of
from nextframe.data.clipset import Split
from nextframe.data.prepared.shards import Layout
from nextframe.media.images import image_files
from nextframe.media.reading import Reading

MANIFEST = "prepared.json"
FORMAT, VERSION = "nextframe prepared clips", 1
RESULTS = ("complete", "statistics")  # what the work adds; the rest is known before it begins


def is_prepared(folder: Path) -> bool:
    """Return whether `folder` holds prepared clips."""
    return (folder / MANIFEST).is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return the manifest of `folder`; BadInputError if it is not a manifest of this version."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(path, f"cannot be read ({str(error).splitlines()[0]})", "prepare the clips again") from None
    if not isinstance(manifest, dict) or (manifest.get("format"), manifest.get("version")) != (FORMAT, VERSION):
        raise BadInputError(path, f"is not a manifest of {FORMAT}, version {VERSION}", "prepare the clips again")
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest, whole or not at all."""
    temporary = folder / f".{MANIFEST}.{os.getpid()}.tmp"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(manifest, file, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / MANIFEST)
    finally:
        temporary.unlink(missing_ok=True)


def begin(folder: Path, plan: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of `folder`, a new one made from `plan`, or the one there if it has the same plan.

    Raises:
        UserError: the folder holds something else, or clips prepared with other settings or sources.
    """
    plan = json.loads(json.dumps(plan))  # tuples become lists, as in the file
    if is_prepared(folder):
        found = read_manifest(folder)
        difference = _difference({k: v for k, v in found.items() if k not in RESULTS}, plan)
        if difference:
            raise UserError(
                f"{folder}: was prepared differently: {difference}; give another folder, or delete this one"
            )
        return found
    ours = (LOCK, ".tmp")
    if folder.exists() and (not folder.is_dir() or any(f for f in folder.iterdir() if not f.name.endswith(ours))):
        raise UserError(f"{folder}: exists and does not hold prepared clips; give another folder")
    folder.mkdir(parents=True, exist_ok=True)
    manifest = {**plan, "complete": False}
    write_manifest(folder, manifest)
    return manifest


def _difference(old: dict[str, Any], new: dict[str, Any]) -> str:
    """Return the first difference in words; "" if there is none."""
    read = {name: None for name in (*Reading.model_fields, "options") if name in old["settings"]}  # default again
    for name, value in (read | new["settings"]).items():
        if old["settings"].get(name) != value:
            return f"{name} was {old['settings'].get(name)}, not {value}"
    was, now = ({s["name"]: s for s in plan["sources"]} for plan in (old, new))
    for name in [*now, *was]:
        if name not in was or name not in now:
            return f"source {name} is {'new' if name in now else 'gone'}"
        if was[name] != now[name]:
            return f"source {name} changed"
    return "" if old == new else "the usable sources differ"


def layout_of(manifest: Mapping[str, Any]) -> Layout:
    """Return the layout of the clips in their shards."""
    return Layout(tuple(manifest["record"]["shape"]), manifest["record"]["note_bytes"])


def shard_files(folder: Path, manifest: Mapping[str, Any], split: Split) -> list[tuple[Path, range]]:
    """Return the shards of a split and the clips that each holds."""
    count, size = manifest["splits"].get(split, 0), manifest["settings"]["shard"]
    firsts = range(0, count, size)
    return [(folder / f"{split}-{n:05d}.tar", range(a, min(a + size, count))) for n, a in enumerate(firsts)]


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's images, as hexadecimal."""
    if path.is_file():
        return sha256_of(path)
    total = hashlib.sha256()
    for part in _folder_parts(path):
        total.update(part)
    return total.hexdigest()


def _folder_parts(folder: Path) -> Iterator[bytes]:
    for file in image_files(folder):
        yield os.fsencode(file.name) + b"\0"
        yield hashlib.sha256(file.read_bytes()).digest()
