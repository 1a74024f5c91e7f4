"""From a name or a path to clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nextframe.core.errors import UnknownNameError, UserError
from nextframe.data.clipset import IN_MEMORY, ClipSet, DataConfig
from nextframe.data.huggingface.hub import fetch_dataset, is_hub_name
from nextframe.data.mixed import MixedClips
from nextframe.data.sets import DATASETS


def is_path(name: str) -> bool:
    """Whether `name` is an existing path, or several separated by commas of which one exists."""
    from nextframe.data.folder.listing import paths_of

    return any(path.exists() for path in paths_of(name))


def open_data(config: DataConfig) -> ClipSet:
    """Return the clips that `config` names: a registered data set, prepared clips, another path, the Hub's, or a mix.

    Raises:
        UserError: neither a registered name nor an existing path, or fields that do not fit the data.
    """
    if config.mix:
        shares, names = [part.share for part in config.mix], [part.name for part in config.mix]
        return MixedClips([open_data(part) for part in config.parts()], shares, names)
    if config.name not in DATASETS and (Path(config.name) / "prepared.json").is_file():
        from nextframe.data.prepared.clips import open_prepared

        return open_prepared(config)
    if config.kind == "flow":
        from nextframe.data.flow import FlowClips, frames_for_flow

        return FlowClips(open_data(frames_for_flow(config)), config)
    if config.name in DATASETS:
        return _clips_of(config)
    if is_path(config.name):
        return _open_path(config)
    if is_hub_name(config.name):
        return _from_hub(config)
    if config.name == IN_MEMORY:
        what = "'clips' stands for clips of your own: name a folder or a file of them with --data PATH"
        raise UserError(f"{what} (if the clips were in memory, give them again)")
    raise UnknownNameError("data set or path", config.name, DATASETS)


def is_laid_out(config: DataConfig) -> bool:
    """Return whether a path holds what another library laid out: a recording of LeRobot, or rows with videos."""
    return _opener(config.name) is not None


def _open_path(config: DataConfig) -> ClipSet:
    """Return the clips of a path by what it holds."""
    opener = _opener(config.name)
    if opener is None:
        from nextframe.data.folder.clips import open_path

        return open_path(config)
    return opener(config)


def _opener(name: str) -> Callable[[DataConfig], ClipSet] | None:
    """Return what opens a path that another library laid out; None: it is one's own files.

    Raises:
        UserError: several paths of which one is so.
    """
    from nextframe.data.folder.listing import paths_of
    from nextframe.data.huggingface.load import is_rows
    from nextframe.data.lerobot.info import is_lerobot

    paths = paths_of(name)
    recordings, rows = ([path for path in paths if laid_out(path)] for laid_out in (is_lerobot, is_rows))
    if len(paths) > 1 and (recordings or rows):
        what = "is a data set of its own: combine it with others by data.mix, not by commas"
        raise UserError(f"{(recordings or rows)[0]} {what}")
    if recordings:
        from nextframe.data.lerobot.recording import open_lerobot

        return open_lerobot
    if rows:
        from nextframe.data.huggingface.clips import open_rows

        return open_rows
    return None


def _from_hub(config: DataConfig) -> ClipSet:
    """Return the clips of a data set of the Hub, fetched if need be, under the name that it was asked for by."""
    clips = open_data(config.model_copy(update={"name": str(fetch_dataset(config.name))}))
    clips.name = config.name
    return clips


def check_there(config: DataConfig, whose: str) -> None:
    """Raise UserError if a path that `config` names is not there; the line says whose data is missing.

    Registered data sets check their own `root`, and the Hub's are fetched.
    """
    for part in config.parts() if config.mix else [config]:
        named = part.name in DATASETS or part.name == IN_MEMORY or is_hub_name(part.name)
        if not named and not is_path(part.name):
            where = "give its place" if Path(part.name).is_absolute() else f"{Path.cwd()} has none: give its place now"
            how = "--data PATH (in Python data=...)"
            raise UserError(f"the data of {whose}, '{part.name}', is missing ({where} with {how})")


def _clips_of(config: DataConfig) -> ClipSet:
    """Return the clips of a registered data set."""
    opened = DATASETS.get(config.name)(config)
    if not isinstance(opened, ClipSet):
        raise UserError(f"data set '{config.name}' returned {type(opened).__name__}, which is not a ClipSet")
    return opened
