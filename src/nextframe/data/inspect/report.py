"""Report on a data set: sources, sizes, frames, splits, clips, and what was skipped and why."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.core.errors import BadInputError, UserError
from nextframe.data.clipset import SPLITS, ClipSet, DataConfig
from nextframe.data.folder.clips import SourceClips
from nextframe.data.folder.contents import Contents, FolderConfig, look
from nextframe.data.open import is_laid_out, is_path, open_data
from nextframe.data.sets import DATASETS
from nextframe.media.video.index import index_source
from nextframe.media.video.promise import CUT_SHORT


@dataclass(frozen=True)
class SourceRow:
    """One source: its size and frames as stored, its split and the clips that are cut from it."""

    name: str
    kind: str
    codec: str
    height: int
    width: int
    channels: int
    frames: int
    fps: float
    cuts: list[int]
    split: str
    clips: int
    notes: list[str]

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.frames / self.fps


@dataclass
class DataReport:
    """The facts of a data set; `problem` says why a split has no clips, or why there are none.

    `clips` counts each split (None: generated without end); `others` counts files of other kinds by their ending;
    `about` are lines on the whole, such as which camera is read and how wide its actions are.
    """

    name: str
    rule: str
    clips: dict[str, int | None]
    frame_shape: tuple[int, int, int] | None
    sources: list[SourceRow] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    checked: bool = False
    problem: str = ""
    about: list[str] = field(default_factory=list)
    contents: Contents | None = None  # of a path

    @property
    def cut_short(self) -> list[tuple[str, str]]:
        """Sources that end before they should, and what is missing."""
        return [(row.name, note) for row in self.sources for note in row.notes if note.startswith(CUT_SHORT)]

    @property
    def frames(self) -> int:
        """Frames of all sources."""
        return sum(row.frames for row in self.sources)

    @property
    def seconds(self) -> float:
        """The duration of all sources."""
        return sum(row.seconds for row in self.sources)

    def as_json(self) -> dict[str, Any]:
        """Return plain values; "rows" are the sources."""
        rows = [{**asdict(row), "seconds": round(row.seconds, 3)} for row in self.sources]
        rest = {name: value for name, value in vars(self).items() if name not in ("sources", "contents")}
        return {"rows": rows, **rest, "skipped": [{"name": name, "reason": why} for name, why in self.skipped]}


def describe(config: DataConfig, check: bool = False) -> DataReport:
    """Return what `config` names: a path or a registered data set.

    Args:
        config: as for `open_data`; if its size or length does not fit the sources, the report says so.
        check: decode every frame of every source now, not only of those without a valid index.

    Raises:
        UserError: no such data, or nothing in it that can be read.
    """
    prepared = (Path(config.name) / "prepared.json").is_file()
    if config.name in DATASETS or not is_path(config.name) or prepared or config.kind == "flow" or is_laid_out(config):
        return _of_opened(config, check)
    options = FolderConfig.parse(config.options, f"options of {config.name}")
    contents = look(config, options, fresh=check)
    try:
        report = _of_clips(SourceClips(config, options, contents))
    except UserError as error:
        report = DataReport(config.name, contents.rule, dict.fromkeys(SPLITS, 0), None, problem=str(error))
        report.sources = _rows(contents, None)
    report.contents, report.checked = contents, check
    report.skipped, report.others = contents.skipped, contents.others
    return report


def _of_opened(config: DataConfig, check: bool) -> DataReport:
    """Return the facts of a registered data set; if it reads the user's files, those of their path."""
    clips = open_data(config)
    if not isinstance(clips, SourceClips):
        return _of_clips(clips)
    if check:
        for path in {member.path for member in clips.contents.members}:
            with suppress(BadInputError):  # cached in the index: the next report lists it as skipped
                index_source(path, clips.config.color, clips.options.reading, fresh=True)
        reopened = open_data(config)
        clips = reopened if isinstance(reopened, SourceClips) else clips
    report = _of_clips(clips)
    report.contents, report.checked = clips.contents, check
    report.skipped, report.others = clips.contents.skipped, clips.contents.others
    return report


def _of_clips(clips: ClipSet) -> DataReport:
    counts: dict[str, int | None] = {split: clips.count(split) for split in SPLITS}
    report = DataReport(clips.name, "the data set's own", counts, clips.frame_shape)
    if isinstance(clips, SourceClips):
        report.rule, report.sources = clips.contents.rule, _rows(clips.contents, clips)
        report.about = list(clips.contents.about)
        report.problem = "; ".join(filter(None, map(clips.why_empty, SPLITS)))
    return report


def _rows(contents: Contents, clips: SourceClips | None) -> list[SourceRow]:
    counts = np.zeros(len(contents.members), np.int64)
    if clips is not None:
        counts += np.bincount(np.concatenate([clips.tables[s].members for s in SPLITS]), minlength=len(counts))
    return [
        SourceRow(
            name=member.name,
            kind=member.index.kind,
            codec=member.index.codec,
            height=member.index.height,
            width=member.index.width,
            channels=member.index.channels,
            frames=member.index.frames,
            fps=round(member.index.fps, 3) if member.index.fps >= 1 else float(f"{member.index.fps:.6g}"),
            cuts=member.index.cuts.tolist(),
            split=split or "by time",
            clips=int(count),
            notes=list(member.index.notes),
        )
        for member, split, count in zip(contents.members, contents.splits, counts, strict=True)
    ]
