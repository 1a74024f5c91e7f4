"""Clips of LeRobot episodes, with the actions that lead from frame to frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from nextframe.core.clip import Clip
from nextframe.core.conditions import Conditions
from nextframe.data.clipset import DataConfig, Indices, Split
from nextframe.data.folder.clips import SourceClips
from nextframe.data.lerobot.recording import ACTION, STATE, LeRobotConfig, Recording, look_at_recording

Column = NDArray[np.float32]


def open_lerobot(config: DataConfig) -> LeRobotClips:
    """Return the clips of the LeRobot folder `config.name`; `config.options` are those of `LeRobotConfig`.

    Raises:
        NotSupportedError: pyarrow is not installed.
        BadInputError: a file that is missing or damaged, or a table that does not fit its video.
        UserError: several cameras and none is named, or no clip because all episodes are too short.
    """
    options = LeRobotConfig.parse(config.options, f"options of {config.name}")
    return LeRobotClips(config, options, look_at_recording(config, options))


class LeRobotClips(SourceClips):
    """Clips of episodes; none crosses from one into the next.

    The condition `actions` (B, T, stride * A) float32 has, for each frame, what was commanded on the way to it: in
    LeRobot row t has the action that is taken when frame t is seen, so the entry of frame t is the action of row
    t - 1; with a stride, those of the rows from frame t - stride on, oldest first. Before the first row they are 0.
    The condition `state` (B, T, S) float32 is observation.state of the frame's own row.
    """

    def __init__(self, config: DataConfig, options: LeRobotConfig, recording: Recording) -> None:
        super().__init__(config, options, recording.contents)
        self._rows = [rows.columns for rows in recording.rows]

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` of `split` as one uint8 batch, in that order, with their conditions."""
        clip = super().read(split, indices)
        order = list(self.task.given + self.task.asked)
        numbers = self._numbers(split, indices)[:, order]
        rows = [self._rows[int(member)] for member in self.tables[split].members[indices]]
        timed = {
            name: torch.from_numpy(np.stack([at(row[column], own) for row, own in zip(rows, numbers, strict=True)]))
            for name, column, at in (("actions", ACTION, self._led_to), ("state", STATE, _own))
            if rows and column in rows[0]
        }
        return replace(clip, conditions=clip.conditions.adding(Conditions(timed)))

    def _led_to(self, actions: Column, frames: Indices) -> Column:
        """Return the actions (T, stride * A) that led to `frames` (T,)."""
        return led_to(actions, frames, self.config.stride)


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


def _own(column: Column, frames: Indices) -> Column:
    """Return the rows of `frames` themselves, (T, N)."""
    return column[frames]
