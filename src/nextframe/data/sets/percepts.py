"""Percepts: the features of a network, one vector per frame, from HDF5 files as clips.

The layout of Srivastava, Mansimov & Salakhutdinov 2015: for each split one HDF5 file that holds the frames of all
videos one after the other, a text file with the number of frames of each video, and one with its label.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from nextframe.core.clip import Clip
from nextframe.core.conditions import Conditions
from nextframe.core.config import Config
from nextframe.core.errors import BadInputError, NotSupportedError, UserError
from nextframe.data.clipset import SPLITS, ClipSet, DataConfig, Indices, Split
from nextframe.data.sets.lists import decoded

LAYOUT = "ROOT/SPLIT.h5 with a data set (frames, D), ROOT/SPLIT_frames.txt and, with classes, SPLIT_labels.txt"
CLASSES = "classes.txt"  # their names, one per line, if `nextframe extract-features` wrote the files
MOST_CLASSES = 100_000  # a larger label is a mistake: each class up to the largest label gets a name and an output


class PerceptConfig(Config):
    """Options of the data set `percepts`."""

    root: str = Field("", description="the folder of the files")
    dataset: str = Field(
        "hidden6", description="the name inside the HDF5 files; hidden6 is VGG-16's fc6 in the original"
    )
    squash: float = Field(
        2.0,
        gt=0,
        allow_inf_nan=False,
        description="lambda of x -> 2 / (1 + exp(-lambda x)) - 1, which brings features after a ReLU to [0, 1)",
    )
    clip_step: int = Field(1, ge=1, description="frames from the start of one train clip to the next")
    eval_step: int = Field(1, ge=1, description="the same for val and test")


def open_percepts(config: DataConfig) -> Percepts:
    """Return the clips of percept files; UserError if the folder or h5py is missing."""
    return Percepts(config, PerceptConfig.parse(config.options, "options of percepts"))


class Percepts(ClipSet):
    """Clips (B, T, D, 1, 1) of float32 features in [0, 1); none crosses from one video into the next."""

    name = "percepts"

    def __init__(self, config: DataConfig, options: PerceptConfig) -> None:
        self.root, self.options, self.task, self.stride = Path(options.root), options, config.task, config.stride
        if not options.root or not self.root.is_dir():
            raise UserError(f"data set 'percepts' needs a local copy: --root FOLDER, with {LAYOUT}")
        self.files: dict[Split, Any] = {split: self._open(split) for split in SPLITS}
        widths = {file.shape[1] for file in self.files.values() if file is not None}
        if len(widths) != 1:
            raise BadInputError(self.root, f"features of one width are needed in {LAYOUT}, found {sorted(widths)}")
        self.frame_shape = (widths.pop(), 1, 1)
        self.videos = {split: self._videos(split) for split in SPLITS}
        self.labels = {split: self._labels(split) for split in SPLITS}
        self.classes = self._classes()
        self.starts = {split: self._starts(split) for split in SPLITS}

    def __getstate__(self) -> dict[str, Any]:
        """Drop the open files: another process opens its own."""
        return {**self.__dict__, "files": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.files = {split: self._open(split) for split in SPLITS}

    def count(self, split: Split) -> int:
        """Return how many clips lie inside one video."""
        return len(self.starts[split])

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips as float32 features; label (B,) where the split has labels.

        Raises:
            BadInputError: a feature below 0, or one that is not finite.
        """
        offsets = np.arange(self.task.length) * self.stride
        starts = self.starts[split][indices]
        rows = np.stack([self.files[split][start + offsets] for start, _ in starts])  # (B, T, D)
        bad = np.argwhere(~((rows >= 0) & np.isfinite(rows)))  # NaN is neither
        if len(bad):
            clip, time, number = bad[0]
            what = f"row {starts[clip, 0] + offsets[time]} of '{self.options.dataset}' holds {rows[clip, time, number]}"
            raise BadInputError(self.root / f"{split}.h5", what, "features must be finite and at least 0")
        features = 2 / (1 + np.exp(-self.options.squash * rows.astype(np.float32))) - 1
        labels = self.labels[split]
        known = {} if labels is None else {"label": torch.from_numpy(labels[starts[:, 1]])}
        return self.task.split(torch.from_numpy(features)[..., None, None], Conditions(fixed=known))

    def source(self, split: Split, index: int) -> str:
        """Return the video of a clip."""
        return f"{split}/{int(self.starts[split][index, 1])}"

    def label(self, split: Split, index: int) -> int | None:
        """Return the class of a clip's video."""
        labels = self.labels[split]
        return None if labels is None else int(labels[self.starts[split][index, 1]])

    def _open(self, split: Split) -> Any:
        path = self.root / f"{split}.h5"
        if not path.exists():
            return None
        try:
            import h5py
        except ImportError:
            raise NotSupportedError("percept files need h5py: pip install 'nextframe[percepts]'") from None
        try:
            data = h5py.File(path, "r")[self.options.dataset]
        except (OSError, KeyError) as error:
            raise BadInputError(path, f"has no readable data set '{self.options.dataset}' ({error})") from None
        if not isinstance(data, h5py.Dataset):
            raise BadInputError(path, f"'{self.options.dataset}' is not a data set", "give the name of one inside it")
        if data.ndim != 2:
            raise BadInputError(path, f"'{self.options.dataset}' must be (frames, D), not {data.shape}")
        if data.dtype.kind != "f":
            raise BadInputError(path, f"'{self.options.dataset}' must hold floats, not {data.dtype}")
        return data

    def _labels(self, split: Split) -> Indices | None:
        """Return the class of each video; there must be one for each."""
        path = self.root / f"{split}_labels.txt"
        labels = _numbers(path)
        if labels is None:
            return None
        if len(labels) != len(self.videos[split]):
            what = f"has {len(labels)} labels, {split}_frames.txt {len(self.videos[split])} videos"
            raise BadInputError(path, what, "one label for each video, in that order")
        if len(labels) and labels.min() < 0:
            raise BadInputError(path, f"class {labels.min()}: classes are numbered from 0")
        if len(labels) and labels.max() >= MOST_CLASSES:
            raise BadInputError(path, f"class {labels.max()}: there are {MOST_CLASSES:,} at most", "number them from 0")
        return labels

    def _classes(self) -> tuple[str, ...]:
        """Return the classes' names: those of the file of names, else their numbers."""
        known = [int(labels.max()) + 1 for labels in self.labels.values() if labels is not None and len(labels)]
        count, path = max(known, default=0), self.root / CLASSES
        text = (_text(path) or "").rstrip("\n")
        names = tuple(text.split("\n")) if text else ()
        if names and len(names) < count:
            raise BadInputError(path, f"names {len(names)} classes, the labels have {count}")
        return names if names else tuple(str(number) for number in range(count))

    def _videos(self, split: Split) -> Indices:
        """Return the frames of each video; they must add up to the rows of the HDF5 file."""
        file = self.files[split]
        if file is None:
            return np.zeros(0, dtype=np.int64)
        path = self.root / f"{split}_frames.txt"
        lengths = _numbers(path)
        if lengths is None:
            raise BadInputError(path, "there is no such file", f"the layout is {LAYOUT}")
        if len(lengths) and lengths.min() < 0:
            raise BadInputError(path, f"a video of {lengths.min()} frames", "write the number of frames of each video")
        total = sum(lengths.tolist())  # of Python's integers: huge lengths do not wrap around to the right sum
        if total != file.shape[0]:
            raise BadInputError(path, f"adds up to {total} frames, {split}.h5 has {file.shape[0]}")
        return lengths

    def _starts(self, split: Split) -> Indices:
        """Return (clips, 2): the first row of each clip, and its video."""
        span, first, found = (self.task.length - 1) * self.stride + 1, 0, [np.zeros((0, 2), dtype=np.int64)]
        step = self.options.clip_step if split == "train" else self.options.eval_step
        for video, length in enumerate(self.videos[split]):
            rows = np.arange(first, first + max(0, int(length) - span + 1), step)
            found.append(np.stack([rows, np.full_like(rows, video)], axis=1))
            first += int(length)
        return np.concatenate(found)


def _numbers(path: Path) -> Indices | None:
    """Return the integers in `path`; None if there is no such file."""
    text = _text(path)
    try:
        return None if text is None else np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError):
        raise BadInputError(path, "must hold one integer per line, of 64 bits at most") from None


def _text(path: Path) -> str | None:
    """Return the text of `path`; None if there is no such file."""
    if not path.exists():
        return None
    try:
        return decoded(path.read_bytes())
    except (OSError, UnicodeDecodeError):
        raise BadInputError(path, "is not a readable text file", "write it as UTF-8") from None
