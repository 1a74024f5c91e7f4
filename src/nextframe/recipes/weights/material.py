"""Training material whose every file is known: a list of names and SHA-256 stands in the package and on the card."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextframe.core.errors import BadInputError
from nextframe.core.files.whole_file import sha256_of

REBUILD = "scripts/motion_data.py rebuilds the material"
VALIDATION = "validation"


@dataclass(frozen=True)
class Listed:
    """The files that weights may be trained on: {kind: {name: SHA-256}}, and the names kept for validation."""

    kinds: Mapping[str, Mapping[str, str]]
    validation: tuple[str, ...]


@dataclass(frozen=True)
class Material:
    """What is there of a list: {name: SHA-256} of the files that are used, and the names of the others."""

    folder: Path
    listed: Listed
    used: Mapping[str, str]
    missing: tuple[str, ...]

    def training(self, kind: str) -> list[Path]:
        """Return the files of one kind that are there and not kept for validation."""
        return [self.folder / name for name in self._of(kind) if name not in self.listed.validation]

    def validation(self) -> list[Path]:
        """Return the files kept for validation that are there."""
        return [self.folder / name for name in self.listed.validation if name in self.used]

    def facts(self) -> dict[str, Any]:
        """Return what a results file and a card say of the material: plain values."""
        return {
            "used": dict(self.used),
            "missing": list(self.missing),
            "validation": [path.name for path in self.validation()],
        }

    def _of(self, kind: str) -> Iterator[str]:
        return (name for name in self.listed.kinds.get(kind, {}) if name in self.used)


def read_list(path: Path) -> Listed:
    """Read a list from JSON: {kind: {name: SHA-256}, ..., "validation": [name, ...]}.

    Raises:
        BadInputError: no such file, or it is not a list.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        validation = tuple(values.pop(VALIDATION, ()))
        kinds = {kind: dict(files) for kind, files in values.items()}
    except FileNotFoundError:
        raise BadInputError(path, "there is no such list of training files") from None
    except (ValueError, TypeError, AttributeError, OSError) as error:
        raise BadInputError(path, f"is not a list of training files ({error})") from None
    return Listed(kinds, validation)


def find(folder: Path, listed: Listed) -> Material:
    """Return what `folder` has of the files of a list; a part of them is enough, others in it are not used.

    Raises:
        BadInputError: no such folder, a file that differs from the list, or nothing to train or to validate on.
    """
    if not folder.is_dir():
        raise BadInputError(folder, "there is no such folder of training material", f"set MOTION_DATA; {REBUILD}")
    sums = {name: digest for files in listed.kinds.values() for name, digest in files.items()}
    used = {name: digest for name, digest in sums.items() if (folder / name).is_file()}
    for name, digest in used.items():
        if sha256_of(folder / name) != digest:
            raise BadInputError(folder / name, "its SHA-256 is not the one on the list", f"restore it; {REBUILD}")
    found = Material(folder, listed, used, tuple(name for name in sums if name not in used))
    if not found.validation():
        raise BadInputError(folder, "has none of the videos kept for validation", REBUILD)
    if not any(found.training(kind) for kind in listed.kinds):
        raise BadInputError(folder, "has nothing to train on", REBUILD)
    return found
