"""From a name or a path to clips."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nextframe.core.errors import UnknownNameError, UserError
from nextframe.data.clipset import IN_MEMORY, ClipSet, DataConfig
from nextframe.data.mixed import MixedClips
from nextframe.data.sets import DATASETS


def is_path(name: str) -> bool:
    """Whether `name` is an existing path, or several separated by commas of which one exists."""
    from nextframe.data.folder.listing import paths_of

    return any(path.exists() for path in paths_of(name))


def open_data(config: DataConfig) -> ClipSet:
    """Return the clips that `config` names: a registered data set, prepared clips, another path or several, or a mix.

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
    from nextframe.data.lerobot.info import is_lerobot

    paths = paths_of(name)
    recordings = [path for path in paths if is_lerobot(path)]
    if recordings and len(paths) > 1:
        raise UserError(f"{recordings[0]} is a LeRobot data set: combine it with others by data.mix, not by commas")
    if recordings:
        from nextframe.data.lerobot.clips import open_lerobot

        return open_lerobot
    return None


def check_there(config: DataConfig, whose: str) -> None:
    """Raise UserError if a path that `config` names is not there; the line says whose data is missing.

    Registered data sets check their own `root`.
    """
    for part in config.parts() if config.mix else [config]:
        if part.name not in DATASETS and part.name != IN_MEMORY and not is_path(part.name):
            where = "give its place" if Path(part.name).is_absolute() else f"{Path.cwd()} has none: give its place now"
            how = "--data PATH (in Python data=...)"
            raise UserError(f"the data of {whose}, '{part.name}', is missing ({where} with {how})")


def _clips_of(config: DataConfig) -> ClipSet:
    """Return the clips of a registered data set."""
    opened = DATASETS.get(config.name)(config)
    if not isinstance(opened, ClipSet):
        raise UserError(f"data set '{config.name}' returned {type(opened).__name__}, which is not a ClipSet")
    return opened
