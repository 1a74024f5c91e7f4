"""Clips cut once and kept: crops in which something moves, in shards that training reads many times faster.

Clip i of a split is a pure function of (seed, i, sources), and a shard is a pure function of its clips. So the output
does not depend on the number of workers, and after a kill only the missing shards are made.
"""

from __future__ import annotations

import json
import logging
import os
import statistics
import time
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.core.errors import UserError
from nextframe.core.files.lock import locked
from nextframe.core.files.room import room_for
from nextframe.core.progress import ProgressBar
from nextframe.data.clipset import SPLITS, Split
from nextframe.data.folder.contents import Contents
from nextframe.data.prepared.conditions import known_of, note_bytes, widths
from nextframe.data.prepared.config import PrepareConfig
from nextframe.data.prepared.crops import Choice, draw_clips
from nextframe.data.prepared.machines.on_ray import Order, made_on_cluster
from nextframe.data.prepared.manifest import FORMAT, VERSION, begin, checksum, layout_of, shard_files, write_manifest
from nextframe.data.prepared.places import span_places
from nextframe.data.prepared.shards import Layout, Note, padded, write_shard
from nextframe.data.prepared.sources import find_sources
from nextframe.data.prepared.spans import Memory, SourceFrames
from nextframe.data.prepared.statistics import measure, write_histogram
from nextframe.media.reading import Reading
from nextframe.media.video.kept import SourceIndex

LOG = logging.getLogger(__name__)
GIB = 2**30
NOTE_BYTES = 256  # bytes of a note without the name of its source, with the longest numbers


@dataclass(frozen=True)
class Group:
    """Shards that are made together, so that a long video is read once for all of them."""

    split: Split
    shards: Sequence[tuple[Path, range]]

    @property
    def clips(self) -> int:
        """How many clips they hold."""
        return sum(len(clips) for _, clips in self.shards)


def prepare(
    path: str | Path,
    output: str | Path,
    config: PrepareConfig | None = None,
    *,
    root: str | None = None,
    workers: int | None = None,
    memory: float = 2.0,
    ray: str | None = None,
    show: bool = True,
) -> dict[str, Any]:
    """Cut clips from the sources at `path` into shards in `output`; existing shards are kept.

    Args:
        path: a file or folder of sources; train, val and test folders are honoured, else names decide the split. Or
            the name of a registered data set of videos, whose own lists decide.
        output: the folder of the clips, new or begun before with the same settings and sources.
        config: which clips; None: 20,000, chosen by motion.
        root: the folder of the local copy of that data set.
        workers: threads; None: one for each core, 4 at most. With `ray` processes; None: as many as there is room for.
            The clips are the same.
        memory: GiB of decoded frames to hold at most; sources beyond it are read from their files in order. With `ray`
            in each process.
        ray: the address of a Ray cluster whose processes make the clips, "auto" or "local"; all its machines have
            `path` and `output` at the same place. None: this process makes them.
        show: whether progress is shown.

    Returns:
        The manifest, with the statistics.

    Raises:
        UserError: no usable source, or `output` holds something else.
    """
    config = config or PrepareConfig()
    output = Path(output) if ray is None else Path(output).absolute()
    contents, config = find_sources(str(path), root, config)
    contents.warn_of_cut(str(path))
    work = Preparation(output, config, contents, round(memory * GIB))
    begin(output, work.plan)  # refuses another's folder, before anything is written to it
    with room_for(output), locked(output):
        manifest = begin(output, work.plan)
        if manifest["complete"] and not work.missing(manifest):
            LOG.info("%s: already complete", output)
            return manifest
        groups = work.missing(manifest)
        if ray is None:
            made = work.by_threads(groups, layout_of(manifest), workers or min(4, os.cpu_count() or 1))
        else:
            place = str(path) if not Path(path).exists() else str(Path(path).absolute())
            made = made_on_cluster(ray, Order(place, output, config, root, work.memory), groups, workers)
        work.follow(made, groups, manifest, show)
        manifest["statistics"] = measure(output, manifest)
        write_histogram(output / "motion.png", manifest["statistics"], config.threshold)
        manifest["complete"] = True
        write_manifest(output, manifest)
        return manifest


class Preparation:
    """The clips to make from `contents`, and what it takes to make them."""

    def __init__(self, output: Path, config: PrepareConfig, contents: Contents, memory: int) -> None:
        self.output, self.config, self.contents, self.memory = output, config, contents, memory
        members = contents.members
        grey = config.color == "grey" or (config.color is None and all(m.index.channels == 1 for m in members))
        self.channels = 1 if grey else 3
        refusals = [_refusal(m.index, config) for m in members]
        self.skipped = [(m.name, why) for m, why in zip(members, refusals, strict=True) if why]
        self.places = span_places(contents, [not why for why in refusals], config)
        if not any(len(places.members) for places in self.places.values()):
            name, why = [*self.skipped, (str(contents.root), "every span crosses a scene cut")][0]
            raise UserError(f"{contents.root}: no clip can be cut from its sources; {name}: {why}")
        held, flow = Memory(memory), config.max_flow if config.kind == "flow" else None
        self.conditions = widths(contents, self.places, config)
        self.sources = [SourceFrames(member, self.channels, config.color, held, flow) for member in members]

    @property
    def plan(self) -> dict[str, Any]:
        """The manifest before the work: everything that determines the clips."""
        sums = {path: checksum(path) for path in {m.path for m in self.contents.members}}
        sources = [
            {
                "name": member.name,
                "frames": member.index.frames,
                "height": member.index.height,
                "width": member.index.width,
                "sha256": sums[member.path],
                "spans": {s: p.count(number) for s, p in self.places.items() if p.count(number)},
            }
            for number, member in enumerate(self.contents.members)
        ]
        return {
            "format": FORMAT,
            "version": VERSION,
            "settings": _settings(self.config),
            "record": asdict(self._layout),
            "fps": statistics.median(m.index.fps for m in self.contents.members) / self.config.stride,
            "splits": {s: self.config.count(s) for s, p in self.places.items() if len(p.members)},
            "split_rule": self.contents.rule,
            "sources": sources,
            "skipped": [list(skipped) for skipped in (*self.contents.skipped, *self.skipped)],
            **({"conditions": self.conditions} if self.conditions else {}),
        }

    @property
    def _layout(self) -> Layout:
        longest = max((m.name for m in self.contents.members), key=lambda name: len(json.dumps(name)))
        shape = self.config.shape(self.channels)
        return Layout(shape, padded(len(json.dumps(longest)) + NOTE_BYTES + note_bytes(self.conditions, shape[0])))

    def missing(self, manifest: dict[str, Any]) -> list[Group]:
        """Return the missing shards, in groups that are made together."""
        layout, groups = layout_of(manifest), []
        for split in SPLITS:
            shards = [
                (path, clips)
                for path, clips in shard_files(self.output, manifest, split)
                if not path.exists() or path.stat().st_size != layout.shard_bytes(len(clips))
            ]
            size = self._group_size(split, layout)
            groups += [Group(split, shards[first : first + size]) for first in range(0, len(shards), size)]
        return groups

    def _group_size(self, split: Split, layout: Layout) -> int:
        """Return how many shards to make together: one, or, if videos are read from files, as many as fit."""
        sources = [self.sources[m] for m in self.places[split].members]
        if sum(f.frame_bytes * f.member.index.frames for f in self.sources) <= self.memory or not sources:
            return 1
        return max(1, self.memory // 4 // (self.config.shard * layout.clip_bytes))

    def follow(
        self, made: Generator[int, None, None], groups: Sequence[Group], manifest: dict[str, Any], show: bool
    ) -> None:
        """Show the progress of `made`, which makes the shards of `groups` and yields their clips."""
        self._clear()
        total = sum(manifest["splits"].values())
        done = total - sum(group.clips for group in groups)
        began, first = time.monotonic(), done
        with ProgressBar("prepare", show=show, unit="clip") as bar, closing(made):
            for count in made:
                done += count
                speed = (done - first) / (time.monotonic() - began)
                bar.say(done, done / total, f"of {total}  {speed:,.0f} clips/s")
        self._clear()

    def _clear(self) -> None:
        """Remove what processes that were killed have begun to write."""
        for unfinished in self.output.glob(".*.tmp"):
            unfinished.unlink(missing_ok=True)

    def by_threads(self, groups: Sequence[Group], layout: Layout, workers: int) -> Generator[int, None, None]:
        """Make the shards, `workers` groups at a time; yield the clips of each group when they are made."""
        pool = ThreadPoolExecutor(workers)
        try:
            running: set[Future[int]] = {pool.submit(self.make, group, layout) for group in groups}
            while running:
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in finished)
        finally:
            pool.shutdown(cancel_futures=True)

    def make(self, group: Group, layout: Layout) -> int:
        """Make the shards of a group; return how many clips that is."""
        indices = np.concatenate([np.arange(c.start, c.stop, dtype=np.int64) for _, c in group.shards])
        draws = draw_clips(self.config.seed, group.split, indices, self.config.tries)
        members, firsts = self.places[group.split].place(draws.source, draws.start)
        clips = np.empty((len(indices), *layout.shape), np.uint8)
        notes: list[Note] = [{}] * len(indices)
        turn = int(indices[0]) // self.config.shard  # so that workers decode different sources first
        for member in np.roll(np.unique(members), turn):
            rows = np.flatnonzero(members == member)
            rows = rows[np.argsort(firsts[rows], kind="stable")]
            spans = self.sources[member].spans(firsts[rows].tolist(), self.config.offsets)
            for row, span in zip(rows, spans, strict=True):
                choice = draws.choose(int(row), span.frames, self.config.rule)
                clips[row] = span.cut(choice.top, choice.left, self.config.size)
                known = known_of(self.contents, int(member), int(firsts[row]), self.config)
                notes[row] = {**_note(self.contents.members[member].name, int(firsts[row]), choice), **known}
        for path, part in group.shards:
            at = part.start - int(indices[0])
            keys = [f"{group.split}-{index:08d}" for index in part]
            write_shard(path, keys, clips[at : at + len(part)], notes[at : at + len(part)], layout)
        return len(indices)


def _note(source: str, start: int, choice: Choice) -> Note:
    """Return the record of a clip: where it was cut from, and why it was kept."""
    return {
        "source": source,
        "start": start,
        "top": choice.top,
        "left": choice.left,
        "rule": choice.rule,
        "tries": choice.tried,
        "motion": round(choice.motion, 4),
        "first_motion": round(choice.first_motion, 4),
    }


def _refusal(index: SourceIndex, config: PrepareConfig) -> str:
    """Return why no clip can be cut from a source; "" if one can."""
    if index.frames < config.span:
        return f"it has {index.frames} frames, a clip needs {config.span}"
    if index.height < config.size[0] or index.width < config.size[1]:
        size = f"{config.size[0]}x{config.size[1]}"
        return f"it is {index.height}x{index.width}, smaller than the crops of {size}"
    return ""


def _settings(config: PrepareConfig) -> dict[str, Any]:
    """Return all settings, but of how files and data sets are read only those that differ from the defaults."""
    default = PrepareConfig.model_construct()
    values = config.model_dump(mode="json")
    same = [name for name in (*Reading.model_fields, "options") if getattr(config, name) == getattr(default, name)]
    return {name: value for name, value in values.items() if name not in same}
