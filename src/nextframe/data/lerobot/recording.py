"""What a LeRobot folder holds: each episode as a source, with the actions that lead from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from nextframe.core.errors import BadInputError
from nextframe.data.clipset import DataConfig, Indices
from nextframe.data.folder.clips import SourceClips
from nextframe.data.folder.contents import Contents, FolderConfig, assign_splits
from nextframe.data.folder.listing import Listing
from nextframe.data.folder.store import Member
from nextframe.data.lerobot.episodes import Episode, list_episodes
from nextframe.data.lerobot.info import INFO, Info, choose_camera, read_info, splits_of
from nextframe.data.lerobot.tables import DataTable, Rows
from nextframe.media.video.index import index_source
from nextframe.media.video.kept import SourceIndex
from nextframe.media.video.times import frame_times

ACTION, STATE = "action", "observation.state"  # columns, if the data set has them
Column = NDArray[np.float32]  # (rows, N)
NO_SPLIT = "it is in no split of meta/info.json"


class LeRobotConfig(FolderConfig):
    """Options of a LeRobot folder, besides those of any folder."""

    camera: str | None = Field(
        None, description="which camera, such as observation.images.top, or the end of its name; null: the only one"
    )
    state: bool = Field(False, description="give observation.state, of the future too, as the condition `state`")


@dataclass
class Commands:
    """The rows of every episode: the conditions `actions`, and `state` if it was asked for.

    `actions` (T, stride * A) has, for each frame, what was commanded on the way to it: in LeRobot row t has the action
    that is taken when frame t is seen, so the entry of frame t is the action of row t - 1; with a stride, those of the
    rows from t - stride on, oldest first. Before the first row they are 0. `state` (T, S) is observation.state of the
    frame's own row.
    """

    rows: list[dict[str, Column]] = field(default_factory=list)  # of each source

    def at(self, member: int, frames: Indices, stride: int) -> dict[str, Column]:
        """Return the conditions of `frames` (T,) of an episode, float32."""
        row, found = self.rows[member], dict[str, Column]()
        if ACTION in row:
            found["actions"] = led_to(row[ACTION], frames, stride)
        if STATE in row:
            found["state"] = row[STATE][frames]
        return found


def led_to(actions: Column, frames: Indices, stride: int) -> Column:
    """Return the actions between each of `frames` and the frame `stride` before it.

    Args:
        actions: (rows, A), each taken when the frame of its row was seen.
        frames: (T,) numbers of frames.
        stride: how many frames earlier the first of the actions was taken.

    Returns:
        (T, stride * A), oldest first; 0 where there is no row.
    """
    rows = frames[:, None] + np.arange(-stride, 0)
    there = (rows >= 0)[..., None]
    return np.where(there, actions[np.maximum(rows, 0)], np.float32(0)).reshape(len(frames), -1)


def open_lerobot(config: DataConfig) -> SourceClips:
    """Return the clips of the LeRobot folder `config.name`; `config.options` are those of `LeRobotConfig`.

    Raises:
        NotSupportedError: pyarrow is not installed.
        BadInputError: a file that is missing or damaged, or a table that does not fit its video.
        UserError: several cameras and none is named, or no clip because all episodes are too short.
    """
    options = LeRobotConfig.parse(config.options, f"options of {config.name}")
    return SourceClips(config, options, look_at_recording(config, options))


def look_at_recording(config: DataConfig, options: LeRobotConfig) -> Contents:
    """Return what the LeRobot folder `config.name` holds: its episodes, and what was commanded in each.

    Raises:
        BadInputError: a file that is missing or damaged, or a table that does not fit its video; the line names it.
        UserError: several cameras and none is named.
    """
    root = Path(config.name)
    info = read_info(root)
    camera = choose_camera(root, info, options.camera)
    episodes = list_episodes(root, info, camera)
    splits = splits_of(root, info, [episode.number for episode in episodes])
    columns = [name for name in (ACTION, STATE) if name in info.features and (name != STATE or options.state)]
    tables, videos, commands = _Tables(columns), _Videos(config, options, info.fps), Commands()
    contents = Contents(root, about=_about(info, camera, options), timed=commands if columns else None)
    for episode in episodes:
        if splits is not None and episode.number not in splits:
            contents.skipped.append((episode.name, NO_SPLIT))
            continue
        rows = tables.of(episode)
        commands.rows.append(rows.columns)
        contents.members.append(videos.part(episode, rows))
        contents.splits.append(None if splits is None else splits[episode.number])
    if not contents.members:
        raise BadInputError(root / INFO, "its splits name no episode of the data set")
    assign_splits(contents, Listing(has_splits=splits is not None, by=INFO.as_posix()), options)
    return contents


class _Tables:
    """Rows of episodes; a table is read once for all of its episodes that follow one another."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns, self._table = columns, None  # type: tuple[Sequence[str], DataTable | None]

    def of(self, episode: Episode) -> Rows:
        if self._table is None or self._table.file != episode.table:
            self._table = DataTable(episode.table, self._columns)
        return self._table.rows(episode.number, episode.length)


class _Videos:
    """Parts of videos; each file is indexed once."""

    def __init__(self, config: DataConfig, options: LeRobotConfig, fps: float) -> None:
        self._color, self._reading, self._fps = config.color, options.reading, fps
        self._known: dict[Path, tuple[SourceIndex, NDArray[np.float64]]] = {}

    def part(self, episode: Episode, rows: Rows) -> Member:
        """Return an episode as a source; BadInputError if its frames are not those of its rows."""
        index, times = self._indexed(episode)
        first = _first_frame(episode, rows, times, 0.5 / self._fps)
        cuts = index.cuts[(index.cuts > first) & (index.cuts < first + episode.length)] - first
        part = replace(index, frames=episode.length, cuts=cuts, fps=self._fps)
        return Member(episode.video, episode.name, part, reading=self._reading, first=first)

    def _indexed(self, episode: Episode) -> tuple[SourceIndex, NDArray[np.float64]]:
        path = episode.video
        if path not in self._known:
            if not path.is_file():
                raise BadInputError(
                    path, f"there is no such file, the video of {episode.name}", "copy the whole data set"
                )
            index = index_source(path, self._color, self._reading)
            self._known[path] = index, frame_times(path, index, self._reading)
        return self._known[path]


def _first_frame(episode: Episode, rows: Rows, times: NDArray[np.float64], half: float) -> int:
    """Return the frame of the file that the first row of an episode is of; the others must follow, one a row.

    `times` are those of the file's frames, and `half` is half the time between two: a row is of the frame that is
    nearest to its time, as LeRobot reads it.
    """
    within = np.flatnonzero((times >= episode.begins - half) & (times < episode.ends - half))
    if len(within) != len(rows.times):
        whose = f"{episode.table} has {len(rows.times)} rows of episode {episode.number}"
        span = "" if episode.ends == np.inf else f" from {episode.begins:g} to {episode.ends:g} s"
        raise BadInputError(episode.video, f"has {len(within)} frames{span}, {whose}", "each frame needs its row")
    late = np.flatnonzero(np.abs(times[within] - episode.begins - rows.times) >= half)
    if len(late):
        row = int(late[0])
        at = f"{times[within[row]] - episode.begins:.4g} s of episode {episode.number}"
        what = f"frame {row} is shown at {at}, its row in {episode.table} says {rows.times[row]:.4g} s"
        raise BadInputError(episode.video, what, "record or convert it again")
    return int(within[0])


def _about(info: Info, camera: str, options: LeRobotConfig) -> tuple[str, ...]:
    """Return lines for `nextframe data`: version, cameras, and what the rows give."""
    others = [name for name in info.cameras if name != camera]
    beside = f" (others: {', '.join(others)}; --set data.options.camera=NAME)" if others else ""
    lines = [f"LeRobot {info.codebase_version}, {info.fps:g} frames/s, camera {camera}{beside}"]
    if width := info.width(ACTION):
        lines.append(f"actions: {width} numbers a frame, the condition 'actions'")
    if width := info.width(STATE):
        given = "the condition 'state'" if options.state else "as the condition 'state' with data.options.state=true"
        lines.append(f"states: {width} numbers a frame, {given}")
    return tuple(lines)
