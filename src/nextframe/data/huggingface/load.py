"""Folders that `datasets` wrote, or that it reads: `save_to_disk`, Parquet and Arrow files."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nextframe.core.errors import BadInputError, NotSupportedError
from nextframe.core.files.cache import cache_folder
from nextframe.core.files.hub import bars_on_terminals_only
from nextframe.data.folder.listing import list_sources

INSTALL = "a data set of Hugging Face needs their library: pip install 'nextframe[datasets]'"
SAVED = ("dataset_dict.json", "state.json")  # what `save_to_disk` leaves of several splits, or of one
TABLES = (".parquet", ".arrow")


def is_rows(path: str | Path) -> bool:
    """Return whether `path` is a folder of rows: saved by `datasets`, or of Parquet or Arrow files without videos."""
    folder = Path(path)
    if not folder.is_dir():
        return False
    if any((folder / name).is_file() for name in SAVED):
        return True
    return _has_tables(folder) and not list_sources(folder).found


def _has_tables(folder: Path) -> bool:
    """Return whether there are tables in `folder`, or in a folder in it: large folders must not take long."""
    for top, folders, files in os.walk(folder):
        if any(name.endswith(TABLES) for name in files):
            return True
        if Path(top) != folder:
            folders.clear()
    return False


def is_library(module: object) -> bool:
    """Return whether a module that is called `datasets` is the library, with videos."""
    return all(hasattr(module, name) for name in ("load_from_disk", "Video", "IterableDatasetDict"))


def library() -> Any:
    """Return the module `datasets`; NotSupportedError if it is not installed."""
    bars_on_terminals_only()
    try:
        import datasets
    except ImportError:
        raise NotSupportedError(INSTALL) from None
    if not is_library(datasets):
        raise NotSupportedError(f"{INSTALL} (the module 'datasets' that is found is another, or older than version 4)")
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    return datasets


def load_rows(folder: Path, subset: str | None) -> Mapping[str, Any]:
    """Return the splits of a folder by their names, each a `datasets.Dataset`; "" of one that names none.

    Args:
        folder: one for which `is_rows`.
        subset: which of several configurations of Parquet or Arrow files; None: the only one.

    Raises:
        NotSupportedError: the library is not installed.
        BadInputError: files that it cannot read, or several configurations; the line has what it says.
    """
    datasets = library()
    try:
        if any((folder / name).is_file() for name in SAVED):
            found = datasets.load_from_disk(str(folder))
        else:
            kept = str(cache_folder() / "datasets")
            found = datasets.load_dataset(str(folder), name=subset, cache_dir=kept)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        cause = error.__cause__ if isinstance(error, datasets.exceptions.DatasetsError) else None
        said = " ".join(str(cause or error).split())[:200]
        fix = "name one with --set data.options.subset=NAME" if "config name" in said.lower() else ""
        raise BadInputError(folder, f"cannot be read by datasets ({said})", fix) from None
    return found if isinstance(found, datasets.DatasetDict) else {"": found}
