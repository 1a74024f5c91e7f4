"""The interface of every data set: splits of clips, each clip a pure function of its index."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from nextframe.core.clip import Clip, Task
from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import numpy_generator

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")
Indices = NDArray[np.int64]
MOVING_AREAS = "moving_areas"  # an extra (B, T, 1, H, W), bool: which pixels count, of clips that say so
IN_MEMORY = "clips"  # the name of clips of frames in memory, unless they are given one


class MixPart(Config):
    """One data set of a mix. Fields that are None or missing here, such as context, size and color, are the mix's."""

    name: str = Field(description="a registered data set, or a path")
    share: float = Field(gt=0, description="of the training clips, in any unit: 7 and 3 are 0.7 and 0.3")
    stride: int | None = Field(None, ge=1, description="take every k-th frame")
    fit: Literal["crop", "pad", "random-crop"] | None = Field(None, description="how frames are fitted to size")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the data set itself")


def some_pixels(size: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return `size` as it is: a validator of fields that are a height and a width, or None."""
    if size is not None and min(size) < 1:
        raise ValueError("height and width must be at least 1")
    return size


class DataConfig(Config):
    """Which clips: a registered name or a path, or a mix of several; and how spans are cut."""

    name: str = Field("moving-digits", description="a registered data set, or a path")
    context: int = Field(10, ge=1, description="context frames")
    horizon: int = Field(10, ge=1, description="frames to predict")
    gap: int | None = Field(
        None, ge=1, description="predict the frame between two that are 2 * gap apart, instead of the next ones"
    )
    stride: int = Field(1, ge=1, description="take every k-th frame")
    size: tuple[int, int] | None = Field(None, description="height and width; null: the data set's own")
    fit: Literal["crop", "pad", "random-crop"] = Field(
        "crop", description="how frames of another shape are fitted to size"
    )
    color: Literal["grey", "rgb"] | None = Field(None, description="null: the data set's own")
    kind: Literal["frames", "flow"] = Field(
        "frames", description="flow: two channels, pixels to the right and down, between consecutive frames"
    )
    max_flow: float = Field(16.0, gt=0, description="pixels per step at which the scale of flows ends")
    options: dict[str, Any] = Field(default_factory=dict, description="options of the data set itself")
    mix: tuple[MixPart, ...] = Field(
        (), description="several data sets by shares, instead of one name; the name is then made of theirs"
    )

    _size = field_validator("size")(some_pixels)

    @model_validator(mode="after")
    def _name_or_mix(self) -> DataConfig:
        if not self.mix:
            return self
        named = mix_name([part.name for part in self.mix], [part.share for part in self.mix])
        if "name" not in self.model_fields_set:
            object.__setattr__(self, "name", named)
        if self.name != named:
            raise ValueError("give either name or mix")
        if self.options:
            raise ValueError("options belong to the entries of mix")
        return self

    def parts(self) -> list[DataConfig]:
        """Return the data of each entry of the mix."""
        return [
            self.model_copy(
                update={
                    "mix": (),
                    "name": part.name,
                    "stride": part.stride or self.stride,
                    "fit": part.fit or self.fit,
                    "options": part.options,
                }
            )
            for part in self.mix
        ]

    @property
    def task(self) -> Task:
        """The task that clips are cut for: a forecast, or with a gap the frame in the middle of two."""
        if self.gap is not None:
            return Task.interpolate(self.gap)  # context and horizon are then 2 and 1
        return Task.forecast(self.context, self.horizon)


class ClipSet(ABC):
    """Three disjoint splits of clips with one frame shape. Reading index i twice gives the same clip.

    `classes` names the classes that `label` numbers, if the clips have any.
    """

    name: str
    task: Task
    frame_shape: tuple[int, int, int]  # (C, H, W)
    fps: float = 10.0
    classes: tuple[str, ...] = ()

    @property
    def finishes_on_device(self) -> bool:
        """Whether what `read` returns is not yet what models see: `on_device` draws or augments it."""
        return type(self).on_device is not ClipSet.on_device

    @abstractmethod
    def count(self, split: Split) -> int | None:
        """Return how many clips `split` has; None: endless (generated)."""

    def why_empty(self, split: Split) -> str:
        """Return one line that says that `split` has no clips, and why where that is known; "" if it has some."""
        return "" if self.count(split) != 0 else f"the {split} split has no clips"

    @abstractmethod
    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` of `split` as one uint8 batch, in that order."""

    def on_device(self, split: Split, clip: Clip, device: torch.device | str) -> Clip:
        """Return what `read` returned on `device`, floats in [0, 1]: what models see.

        Clips that are rendered or augmented there, instead of being stored or sent whole, override this. Random
        augmentation of training clips draws from `nextframe.core.seeds.noise`, so that it is a function of (seed, step)
        and of the clip's place in the batch.
        """
        return clip.to(device)

    def source(self, split: Split, index: int) -> str:
        """Return the name of the source that clip `index` comes from; clips of one source are not independent."""
        return f"{split}/{index}"

    def label(self, split: Split, index: int) -> int | None:
        """Return the class of clip `index` without reading its frames; None: it has none."""
        return None

    def frame_ids(self, split: Split, indices: Indices) -> Indices:
        """Return an id for each frame of the spans of clips, (N, task.length): equal ids mean equal frames."""
        return indices[:, None] * self.task.length + np.arange(self.task.length)

    def facts(self) -> dict[str, Any]:
        """Return what tells these clips from others wherever their files are: plain values, for a run to keep."""
        return {"clips": {split: self.count(split) for split in SPLITS}, "frame_shape": list(self.frame_shape)}

    def order(self, split: Split, seed: int, epoch: int) -> Indices:
        """Return the order in which a finite split is visited in `epoch`: a permutation of its clips."""
        count = self.count(split)
        if count is None:
            raise ValueError("an endless split has no order")
        return numpy_generator(seed, "order", epoch).permutation(count)


def check_whole(clips: ClipSet, use: str) -> None:
    """Raise UserError if clips that are read are not yet what models see, which `use` would lose."""
    if clips.finishes_on_device:
        raise UserError(f"{clips.name}: its clips are finished on the device, so they cannot be {use}")


def short_name(name: str) -> str:
    """Return a data set's name without the folders that a path is in; of several paths, the last part of each."""
    return ", ".join(PurePath(path.strip()).name for path in name.split(","))


def mix_name(names: Sequence[str], shares: Sequence[float]) -> str:
    """Return the name of a mix: "70% moving-digits + 30% videos"."""
    return " + ".join(f"{share / sum(shares):.0%} {short_name(n)}" for n, share in zip(names, shares, strict=True))


def check_indices(clips: ClipSet, split: Split, indices: Indices) -> None:
    """Raise IndexError for an index that `split` does not have."""
    count = clips.count(split)
    last = np.inf if count is None else count - 1
    if len(indices) and not 0 <= indices.min() <= indices.max() <= last:
        raise IndexError(f"{split} has clips 0 to {last}, asked for {indices.min()} to {indices.max()}")


def count_some(clips: ClipSet, split: Split) -> int | None:
    """Return how many clips `split` of `clips` has; None: endless.

    Raises:
        UserError: it has none; the line says why, where that is known.
    """
    count = clips.count(split)
    if count == 0:
        raise UserError(f"{clips.name}: {clips.why_empty(split)}")
    return count


def batch_indices(clips: ClipSet, split: Split, seed: int, step: int, size: int) -> Indices:
    """Return the `size` clip indices of training step `step`: a pure function of (seed, step).

    A finite split is visited in whole epochs, each in its own order; an endless one is read once, from a start
    that depends on the seed.

    Raises:
        UserError: the split has no clips.
    """
    count = count_some(clips, split)
    first = step * size
    if count is None:
        start = int(numpy_generator(seed, "start").integers(2**40))
        return np.arange(first, first + size, dtype=np.int64) + start
    position = np.arange(first, first + size, dtype=np.int64)
    epochs, offsets = position // count, position % count
    orders = {int(epoch): clips.order(split, seed, int(epoch)) for epoch in np.unique(epochs)}
    return np.array([orders[int(e)][o] for e, o in zip(epochs, offsets, strict=True)], dtype=np.int64)
