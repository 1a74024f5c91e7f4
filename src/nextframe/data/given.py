"""From anything that a user gives as data to clips: a name, a path, a config, clips, or frames in memory."""

from __future__ import annotations

import os
from typing import TypeAlias

from nextframe.core.errors import UserError
from nextframe.data.clipset import IN_MEMORY, ClipSet, DataConfig
from nextframe.data.from_torch import clips
from nextframe.data.huggingface.columns import has_videos
from nextframe.data.items import Source
from nextframe.data.open import open_data

Data: TypeAlias = "ClipSet | DataConfig | str | os.PathLike[str] | Source"


def as_clips(data: Data, config: DataConfig | None = None) -> ClipSet:
    """Return the clips that `data` means.

    Args:
        data: clips, which stay as they are; a `DataConfig`, which is opened; the name of a data set, or a path; or
            frames in memory: a tensor (N, T, C, H, W), an array or a torch Dataset, see `clips`; or a
            `datasets.Dataset` or `DatasetDict` with a column of videos.
        config: how clips are cut from all but the first two; None: as the data says, or with defaults. Of frames in
            memory, only its context and horizon are used.

    Raises:
        UserError: nothing of that name, or fields that do not fit the data.
    """
    if isinstance(data, ClipSet):
        return data
    if isinstance(data, DataConfig):
        return open_data(data)
    if isinstance(data, str | os.PathLike):
        return open_data((config or DataConfig()).model_copy(update={"name": os.fspath(data)}))
    if has_videos(data):
        from nextframe.data.huggingface.clips import (
            open_dataset,
        )  # here: it needs av, which training from frames does not

        return open_dataset(data, (config or DataConfig()).model_copy(update={"name": IN_MEMORY}))
    return clips_of(data) if config is None else clips_of(data, config.context, config.horizon)


def clips_of(data: Source, context: int | None = None, horizon: int | None = None) -> ClipSet:
    """Return the clips of frames in memory; UserError for an object that is not data."""
    if not (hasattr(data, "__getitem__") and hasattr(data, "__len__")):
        raise UserError(f"{type(data).__name__} is not data: give a name, a path, clips, a tensor or a torch Dataset")
    return clips(data, context, horizon)
