"""Motion clips: real videos cut into classes that differ in how they are played, so that one frame cannot tell them.

From one span of a video come seven clips around the same moment: still, forward and reversed, each at one, two and four
times the speed. Splits are by source. What is shown is the same in every class; only motion tells them apart.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from nextframe.core.clip import Clip
from nextframe.core.conditions import Conditions
from nextframe.core.errors import UserError
from nextframe.data.clipset import SPLITS, ClipSet, DataConfig, Indices, Split, check_indices
from nextframe.data.folder.clips import SourceClips
from nextframe.data.folder.contents import look
from nextframe.data.sets.local import LocalConfig

SPEEDS = (1, 2, 4)
CLASSES = ("still", *(f"{way} x{speed}" for way in ("forward", "reversed") for speed in SPEEDS))
SIZE = (32, 32)  # of the frames, unless another is requested


class MotionClipsConfig(LocalConfig):
    """Options of the data set `motion-clips`; `root` may name several paths, separated by commas."""

    spans: int = Field(8, ge=1, description="spans that are taken from a source at most, evenly over it")
    least_motion: float = Field(
        0.01, ge=0, description="least mean absolute change from frame to frame, of levels in [0, 1]; less is skipped"
    )


def open_motion_clips(config: DataConfig) -> MotionClips:
    """Return the labelled clips of videos; `config.options` are those of `MotionClipsConfig`.

    Raises:
        UserError: no root, or no span of it moves.
    """
    options = MotionClipsConfig.parse(config.options, "options of motion-clips")
    if not options.root:
        raise UserError("data set 'motion-clips' needs --root PATH: videos, or several paths separated by commas")
    return MotionClips(config, options, options.root)


class MotionClips(ClipSet):
    """Seven clips of each span, `Clip.label` how it is played; classes take turns, so every split is balanced."""

    name = "motion-clips"
    classes = CLASSES

    def __init__(self, config: DataConfig, options: MotionClipsConfig, root: str) -> None:
        self.task, self.numbers = config.task, frame_numbers(config.task.length)
        span = (config.task.length - 1) * max(SPEEDS) + 1
        changed = {"name": root, "context": span - 1, "horizon": 1, "size": config.size or SIZE, "options": {}}
        whole = config.model_copy(update=changed)
        self.spans = SourceClips(whole, options, look(whole, options))
        self.frame_shape, self.fps = self.spans.frame_shape, self.spans.fps
        self._moving = {split: self._chosen(split, options) for split in SPLITS}
        if not any(len(spans) for spans in self._moving.values()):
            fix = f"lower data.options.least_motion ({options.least_motion:g})"
            raise UserError(f"{root}: nothing moves in its spans of {span} frames; {fix}")

    def count(self, split: Split) -> int:
        """Return how many clips `split` has: seven for each span that moves."""
        return len(self._moving[split]) * len(CLASSES)

    def source(self, split: Split, index: int) -> str:
        """Return the name of a clip's video, its span and its class, because each is recognised by itself."""
        span, label = divmod(index, len(CLASSES))
        return f"{self.file(split, index)}, span {span}, {CLASSES[label]}"

    def file(self, split: Split, index: int) -> str:
        """Return the name of the video that a clip is cut from; all clips of a video are in one split."""
        return self.spans.source(split, int(self._moving[split][index // len(CLASSES)]))

    def label(self, split: Split, index: int) -> int:
        """Return the class of a clip."""
        return index % len(CLASSES)

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` as one uint8 batch with labels (B,); the same index always gives the same clip."""
        check_indices(self, split, indices)
        places, labels = np.divmod(indices, len(CLASSES))
        spans, rows = np.unique(self._moving[split][places], return_inverse=True)
        frames = self.spans.read(split, spans).frames
        chosen = torch.from_numpy(self.numbers[labels])  # (B, T)
        clips = frames[torch.from_numpy(rows).unsqueeze(1), chosen]
        return self.task.split(clips, Conditions(fixed={"label": torch.from_numpy(labels)}))

    def _chosen(self, split: Split, options: MotionClipsConfig) -> Indices:
        """Return the spans of `split` that move, at most `spans` of each source."""
        kept = []
        sources = np.array([self.spans.source(split, span) for span in range(self.spans.count(split))])
        for source in dict.fromkeys(sources.tolist()):
            own = np.flatnonzero(sources == source)
            few = own[np.unique(np.linspace(0, len(own) - 1, min(options.spans, len(own))).astype(np.int64))]
            kept += [span for span in few if self._motion(split, int(span)) >= options.least_motion]
        return np.array(kept, np.int64)

    def _motion(self, split: Split, span: int) -> float:
        """Return the mean absolute change from frame to frame of a span, of levels in [0, 1]."""
        frames = self.spans.read(split, np.array([span])).frames[0].float() / 255
        return float((frames[1:] - frames[:-1]).abs().mean())


def frame_numbers(length: int) -> NDArray[np.int64]:
    """Return which frames of a span each class shows, (classes, length): around the same frame in all of them."""
    steps = np.arange(length) - (length - 1) // 2
    middle = (length - 1) // 2 * max(SPEEDS)
    forward = [middle + steps * speed for speed in SPEEDS]
    return np.stack([np.full(length, middle), *forward, *(shown[::-1] for shown in forward)]).astype(np.int64)
