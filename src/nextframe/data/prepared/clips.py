"""Prepared clips as a data set: any clip by one read from its shard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from nextframe.core.clip import Clip
from nextframe.core.conditions import NO_CONDITIONS, Conditions
from nextframe.core.errors import UserError
from nextframe.data.clipset import SPLITS, ClipSet, DataConfig, Indices, Split
from nextframe.data.flow import FlowClips, frames_for_flow
from nextframe.data.prepared.conditions import of_notes
from nextframe.data.prepared.manifest import layout_of, read_manifest, shard_files
from nextframe.data.prepared.shards import cut_short, read_clips, read_note


def open_prepared(config: DataConfig) -> ClipSet:
    """Return the prepared clips of the folder `config.name`; for clips of frames also their flows, one frame fewer.

    Raises:
        BadInputError: a manifest or shard that is missing, unfinished or damaged.
        UserError: a context, horizon, stride, size or colour that the clips do not have.
    """
    if config.kind == "flow" and read_manifest(Path(config.name))["settings"]["kind"] == "frames":
        return FlowClips(PreparedClips(frames_for_flow(config)), config)
    return PreparedClips(config)


class PreparedClips(ClipSet):
    """Clips that `nextframe prepare` wrote; of clips longer than requested the first frames are read."""

    def __init__(self, config: DataConfig) -> None:
        self.folder, self.task = Path(config.name), config.task
        self.manifest = read_manifest(self.folder)
        if not self.manifest["complete"]:
            raise UserError(f"{self.folder}: is not finished; run the same `nextframe prepare` command again")
        self.layout = layout_of(self.manifest)
        self.name, self.fps = self.folder.name, self.manifest["fps"]
        self.frame_shape = self.layout.shape[1], self.layout.shape[2], self.layout.shape[3]
        self._check(config)
        self._shards = {split: shard_files(self.folder, self.manifest, split) for split in SPLITS}
        for path, clips in (shard for shards in self._shards.values() for shard in shards):
            if not path.exists() or path.stat().st_size != self.layout.shard_bytes(len(clips)):
                raise cut_short(path)

    def _check(self, config: DataConfig) -> None:
        """Refuse what the clips were not prepared for; one line says which setting."""
        made, frames = self.manifest["settings"], self.layout.shape[0]
        here = f"{self.folder}: clips are prepared with"
        if self.task.length > frames:
            fix = f"ask for --context {made['context']} --horizon {made['horizon']}"
            raise UserError(f"{here} {frames} frames, not {self.task.context} + {self.task.horizon}; {fix}")
        if config.stride not in (1, made["stride"]):
            fix = f"prepare them again with --set prepare.stride={config.stride}, or read them with --set data.stride=1"
            raise UserError(f"{here} stride {made['stride']}, not {config.stride}; {fix}")
        if config.size not in (None, self.frame_shape[1:]):
            height, width = self.frame_shape[1:]
            other = "x".join(map(str, config.size or ()))
            raise UserError(f"{here} size {height}x{width}, not {other}; give --size {height}x{width}")
        channels = {"grey": 1, "rgb": 3, None: self.frame_shape[0]}[config.color]
        flow = made["kind"] == "flow"  # then the colour is that of the frames it was made from
        if channels != self.frame_shape[0] and not flow:
            fix = f"prepare them again with --set prepare.color={config.color}"
            raise UserError(f"{here} {self.frame_shape[0]} channels, not {config.color}; {fix}")
        if flow and config.kind == "flow" and made["max_flow"] != config.max_flow:
            fix = f"give --set data.max_flow={made['max_flow']:g}"
            raise UserError(f"{here} max_flow {made['max_flow']:g}, not {config.max_flow:g}; {fix}")
        if config.options:
            raise UserError(f"{self.folder}: prepared clips have no options such as '{next(iter(config.options))}'")

    def count(self, split: Split) -> int:
        """Return how many clips `split` has."""
        return int(self.manifest["splits"].get(split, 0))

    def source(self, split: Split, index: int) -> str:
        """Return the name of the source that clip `index` was cut from."""
        shard, number = divmod(index, self.manifest["settings"]["shard"])
        return str(read_note(self._shards[split][shard][0], self.layout, number)["source"])

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` of `split` as one uint8 batch, in that order; BadInputError for a truncated shard."""
        count = self.count(split)
        if len(indices) and not 0 <= indices.min() <= indices.max() < count:
            raise IndexError(f"{split} has clips 0 to {count - 1}, asked for {indices.min()} to {indices.max()}")
        clips = np.empty((len(indices), *self.layout.shape), np.uint8)
        shards, numbers = np.divmod(indices, self.manifest["settings"]["shard"])
        for shard in np.unique(shards):
            rows = np.flatnonzero(shards == shard)
            path, _ = self._shards[split][shard]
            read_clips(path, self.layout, numbers[rows].tolist(), [clips[row] for row in rows])
        return self.task.split(torch.from_numpy(clips), self._conditions(split, shards.tolist(), numbers.tolist()))

    def _conditions(self, split: Split, shards: Sequence[int], numbers: Sequence[int]) -> Conditions:
        """Return what the notes say of each frame of clips, if they were prepared with conditions."""
        kept = self.manifest.get("conditions")
        if not kept or not numbers:
            return NO_CONDITIONS
        places = zip(shards, numbers, strict=True)
        return of_notes(
            [read_note(self._shards[split][shard][0], self.layout, number) for shard, number in places], kept
        )
