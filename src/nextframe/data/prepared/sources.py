"""What is prepared: the sources at a path, or those of a registered data set's local copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nextframe.core.errors import UserError
from nextframe.data.clipset import DataConfig
from nextframe.data.folder.clips import SourceClips
from nextframe.data.folder.contents import Contents, FolderConfig, look
from nextframe.data.huggingface.clips import RowsConfig, look_at_rows
from nextframe.data.huggingface.hub import fetch_dataset, is_hub_name
from nextframe.data.huggingface.load import is_rows
from nextframe.data.lerobot.info import is_lerobot
from nextframe.data.lerobot.recording import LeRobotConfig, look_at_recording
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.sets import DATASETS
from nextframe.media.reading import Reading

SHARED = (*Reading.model_fields, "val_share", "test_share", "across_cuts")  # fields that a set of videos has too


def find_sources(path: str, root: str | None, config: PrepareConfig) -> tuple[Contents, PrepareConfig]:
    """Return the sources, and the settings with what a registered set decides, such as its colour.

    Args:
        path: a file or a folder; with `root`, or if no file has that name, the name of a registered data set.
        root: the folder of its local copy.
        config: what is asked for; what it does not say of how files are read and split is the set's.

    Raises:
        UserError: nothing to read, or a `root` without such a set; the line says what to give.
    """
    if path in DATASETS and (root is not None or not Path(path).exists()):
        return _registered(path, root, config)
    if is_hub_name(path):
        path = str(fetch_dataset(path))
    if root is not None:
        raise UserError(f"--root is for a data set with a name, and {path} is a path: skip --root")
    shares = {"val_share": config.val_share, "test_share": config.test_share}
    given = {**dict(config.reading), **shares, **config.options}
    data = DataConfig(name=path, color=config.color)
    if is_lerobot(path):
        return look_at_recording(data, LeRobotConfig.parse(given, "prepare.options")), config
    if is_rows(path):
        return look_at_rows(data, RowsConfig.parse(given, "prepare.options"))[0], config
    return look(data, FolderConfig.parse(given, "prepare.options")), config


def _registered(name: str, root: str | None, config: PrepareConfig) -> tuple[Contents, PrepareConfig]:
    asked = {field: getattr(config, field) for field in SHARED if field in config.model_fields_set}
    given: dict[str, Any] = asked | config.options
    if root is not None:
        given["root"] = root
    data = DataConfig(name=name, context=1, horizon=1, size=config.size, color=config.color, options=given)
    clips = DATASETS.get(name)(data)
    if not isinstance(clips, SourceClips):
        raise UserError(f"data set '{name}' has no videos to prepare: nextframe train MODEL --data {name} reads it")
    own = {field: getattr(clips.options, field) for field in ("val_share", "test_share", "across_cuts")}
    return clips.contents, config.model_copy(update={**own, "color": clips.config.color})
