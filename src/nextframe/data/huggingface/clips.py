"""Clips of the videos in the rows of a `datasets.Dataset`, each row a source."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from nextframe.core.errors import UserError
from nextframe.core.files.cache import cache_folder
from nextframe.core.files.whole_file import whole_file
from nextframe.data.clipset import DataConfig, Split
from nextframe.data.folder.contents import Contents, FolderConfig, look_at
from nextframe.data.folder.listing import SPLIT_FOLDERS, Found, Listing
from nextframe.data.huggingface.columns import LABEL, choose_column, classes_of, is_dataset
from nextframe.data.huggingface.load import library, load_rows
from nextframe.data.sets.lists import Labelled
from nextframe.data.sets.local import RegisteredClips

ENDING = 8  # characters of a file's ending at most


class RowsConfig(FolderConfig):
    """Options of rows with videos, besides those of any folder."""

    column: str | None = Field(None, description="the column of the videos; null: the only one that has some")
    subset: str | None = Field(None, description="which of several configurations in a folder; null: the only one")


def open_rows(config: DataConfig) -> RegisteredClips:
    """Return the clips of the folder `config.name`; `config.options` are those of `RowsConfig`.

    Raises:
        NotSupportedError: the library `datasets` is not installed.
        BadInputError: files that it cannot read, or no video that can be.
        UserError: no column of videos, or several and none is named.
    """
    options = RowsConfig.parse(config.options, f"options of {config.name}")
    return RegisteredClips(config, options, *look_at_rows(config, options))


def open_dataset(dataset: Any, config: DataConfig) -> RegisteredClips:
    """Return the clips of a `datasets.Dataset`, or of the splits of a `DatasetDict`.

    Args:
        dataset: with a column of videos, as files or bytes; `torchcodec` is not needed.
        config: how clips are cut; its `options` are those of `RowsConfig`.

    Raises:
        UserError: a data set that is streamed, no column of videos, or several and none is named.
    """
    options = RowsConfig.parse(config.options, "options of the data set")
    splits = dataset if isinstance(dataset, Mapping) else {"": dataset}
    if not all(is_dataset(rows) and hasattr(rows, "__len__") for rows in splits.values()):
        raise UserError("a data set that is streamed has no row numbers: load it without streaming=True")
    return RegisteredClips(config, options, *_contents(splits, config, options))


def look_at_rows(config: DataConfig, options: RowsConfig) -> tuple[Contents, Labelled]:
    """Return the sources of the folder `config.name`, and their classes; see `open_rows`."""
    return _contents(load_rows(Path(config.name), options.subset), config, options)


def _contents(splits: Mapping[str, Any], config: DataConfig, options: RowsConfig) -> tuple[Contents, Labelled]:
    """Return each row as a source, called SPLIT/NUMBER, and its class.

    With one split alone the sources are divided as those of a folder; val, and test, are taken from train if missing.
    """
    labelled = Labelled(Listing(by="the data set's own splits"))
    for name, rows in splits.items():
        split = SPLIT_FOLDERS.get(name.lower())
        if len(splits) > 1 and split is None:
            labelled.listing.skipped.append((name, "it is not called train, validation or test"))
            continue
        _add(labelled, rows, name, split if len(splits) > 1 else None, config.name, options.column)
    labelled.listing.has_splits = len(splits) > 1
    parts = {found.split for found in labelled.listing.found}
    if parts and not parts & {"train", None}:
        raise UserError(f"{config.name}: there is no split train, only {', '.join(splits)}")
    contents = look_at(Path(config.name), labelled.listing, config, options)
    contents.about = (f"{len(labelled.listing.found)} rows of a Hugging Face data set, a source each",)
    return contents, labelled


def _add(labelled: Labelled, rows: Any, name: str, split: Split | None, whose: str, asked: str | None) -> None:
    """Add the rows of one split; those without a video are skipped."""
    column = choose_column(whose, rows.features, asked)
    labelled.classes = labelled.classes or classes_of(rows.features)
    wanted = [column, *([LABEL] if labelled.classes else [])]
    plain = rows.select_columns(wanted).cast_column(column, library().Video(decode=False)).with_format(None)
    for number, row in enumerate(plain):
        source = f"{name}/{number}" if name else str(number)
        video = row[column] or {}
        if missing := _missing(video):
            labelled.listing.skipped.append((source, missing))
            continue
        labelled.listing.found.append(Found(_file_of(video), source, split))
        if labelled.classes and row[LABEL] is not None:
            labelled.labels[source] = int(row[LABEL])


def _missing(video: Mapping[str, Any]) -> str:
    """Return why the video of a row cannot be had; "" if it can."""
    path = video.get("path")
    if video.get("bytes") is not None:
        return ""
    if not path:
        return "the row has no video"
    return "" if Path(path).is_file() else f"there is no file {path}"


def _file_of(video: Mapping[str, Any]) -> Path:
    """Return the file of a row's video; bytes are written to the cache folder, under their checksum, once."""
    content, path = video.get("bytes"), Path(video.get("path") or "")
    if content is None:
        return path
    ending = path.suffix if path.suffix[1:].isalnum() and len(path.suffix) <= ENDING else ""
    kept = cache_folder() / "rows" / f"{hashlib.sha256(content).hexdigest()}{ending}"
    if not kept.is_file():
        with whole_file(kept) as temporary:
            temporary.write_bytes(content)
    return kept
