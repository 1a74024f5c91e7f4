"""Which column of a `datasets.Dataset` has the videos, and which their classes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from nextframe.core.errors import UserError, did_you_mean
from nextframe.data.huggingface.load import is_library, library

LABEL = "label"


def is_dataset(thing: object) -> bool:
    """Return whether `thing` is rows, or splits of rows, of the library `datasets`, not of a module of one's own."""
    module = sys.modules.get("datasets")
    if not is_library(module):
        return False
    kinds = ("Dataset", "DatasetDict", "IterableDataset", "IterableDatasetDict")
    return isinstance(thing, tuple(getattr(module, kind) for kind in kinds))


def has_videos(thing: object) -> bool:
    """Return whether `thing` is of `datasets` and to be read as rows with videos.

    Rows of frames, in tensors or arrays, are not: they are items as those of a torch Dataset.
    """
    if not is_dataset(thing):
        return False
    features = getattr(thing, "features", None)
    return isinstance(thing, Mapping) or not hasattr(thing, "__len__") or bool(video_columns(features or {}))


def video_columns(features: Mapping[str, Any]) -> list[str]:
    """Return the columns of videos; if none is declared as such, those of files as bytes or a path."""
    declared = [name for name, feature in features.items() if isinstance(feature, library().Video)]
    files = [name for name, f in features.items() if isinstance(f, Mapping) and {*f} <= {"bytes", "path"} and f]
    return declared or files


def choose_column(name: str, features: Mapping[str, Any], asked: str | None) -> str:
    """Return the column that is `asked` for; None: the only one of videos.

    Args:
        name: of the data set, for messages.
        features: of the data set.
        asked: any column; its values must be files as bytes or paths.

    Raises:
        UserError: no such column, no column of videos, or several; the line lists them.
    """
    if asked is not None:
        if asked not in features:
            raise UserError(f"{name}: no column '{asked}'{did_you_mean(asked, features)}")
        return asked
    found = video_columns(features)
    if not found:
        raise UserError(f"{name}: none of its columns has videos ({', '.join(features)})")
    if len(found) > 1:
        fix = f"choose one with --set data.options.column={found[0]}"
        raise UserError(f"{name}: it has {len(found)} columns of videos ({', '.join(found)}); {fix}")
    return found[0]


def classes_of(features: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes, if the column `label` has some."""
    label = features.get(LABEL)
    return tuple(label.names) if isinstance(label, library().ClassLabel) else ()
