"""How much memory a prediction takes, told before anything is allocated."""

from __future__ import annotations

import logging
import math
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nextframe.core.clip import Task
from nextframe.core.errors import BadInputError
from nextframe.media.limits import Limits
from nextframe.media.memory import Held
from nextframe.media.source import Source
from nextframe.media.writer import H264, WHOLE, encoder_bytes
from nextframe.models.contract import ModelOptions, Predictor
from nextframe.models.protocols import unrolls

LOG = logging.getLogger(__name__)
SMALL = (64, 128)  # sides of the frames from which the memory of larger ones is told
STORED, FLOAT = 1, 4  # bytes of a value
WORKING = 1.6  # what a process holds for each byte of a model's tensors: libraries' own buffers, what is freed and kept
WRITING = 4  # copies of a frame, as floats, from the model to the writer
IN_ONE = 4  # bytes of a value of an image made of all frames: they, the image, and that twice while it is packed
FEWER = (
    "predict fewer frames or smaller ones (--size), or one future on the command line into an .mp4, .gif or .npy, "
    "which holds few of them, or allow more"
)
SMALLER = "predict smaller frames (--size) or tiles (--set predict.tile=256), or allow more"
MIDDLES = "interpolate a smaller video, or allow more"
STRIP = "write an .mp4, .gif or .npy, which holds few of them, or allow more"
FORECAST = Task.forecast(1, 1)


@dataclass(frozen=True)
class Made:
    """How many frames are predicted, in how many futures, and which are held."""

    frames: int
    samples: int
    whole: bool  # the caller holds all
    block: int | None  # frames that the model makes at once; None: all
    encoder: float = 0.0  # bytes of a pixel that the encoder of a file holds

    @classmethod
    def by(cls, net: Predictor, frames: int, options: ModelOptions, samples: int, output: Path | None) -> Made:
        """Return those of `net`, for a file or, if `output` is None, held; of a model that draws, futures are held."""
        one_by_one = unrolls(net) and (samples == 1 or not net.draws(options))
        at_once = max(getattr(net.config, field, 1) for field in ("horizon", "context"))  # at most, of all models
        block = min(frames, at_once) if one_by_one else None
        if output is None:
            return cls(frames, samples, True, block)
        return cls(frames, samples, needs_all(output, samples), block, encoder_bytes(output, frames))

    @property
    def held(self) -> float:
        """Frames of float32 that are held at once."""
        every = self.frames * self.samples
        # What a model made at once, and before that its parts; then one frame while it is checked and rounded.
        making = 2 * (every if self.block is None else self.block) + WRITING * self.samples
        return making + (every if self.whole else 0)


def needs_all(output: Path, samples: int) -> bool:
    """Return whether a file like `output` cannot be written before all frames are there."""
    return samples > 1 or output.suffix.lower() in WHOLE


def check_frames(
    source: Source | Held, size: tuple[int, int] | None, read: int, truth: int, made: Made, limits: Limits
) -> int:
    """Return the bytes of `read` context frames of a source, scaled to `size`, and of those that follow.

    `truth` is how many true frames are kept as they are stored; the whole of a prediction has them as floats, too.

    Raises:
        BadInputError: they are more than the limit.
    """
    height, width = size or (source.height, source.width)
    held = read * (STORED + FLOAT) + truth * (STORED + FLOAT * made.whole) + made.held * FLOAT
    needed = round(height * width * (source.videos * source.channels * held + made.encoder))
    count = made.frames * made.samples
    _check(source, f"{count:,} frames of {width}x{height}", needed, limits, FEWER)
    return needed


def check_middles(source: Source, factor: int, output: Path, limits: Limits) -> int:
    """Return the bytes of the frames that are held between two of a source, those read and predicted, and its output's.

    Raises:
        BadInputError: they are more than the limit.
    """
    held = source.channels * (STORED * (1 + factor.bit_length()) + FLOAT * (2 + WRITING))
    needed = round(source.height * source.width * (held + encoder_bytes(output, H264[2])))
    _check(source, f"the frames between two of {source.width}x{source.height}", needed, limits, MIDDLES, "interpolate")
    return needed


def check_strip(source: Source, frames: int, limits: Limits) -> None:
    """Refuse to make one image of `frames` frames of a source.

    Raises:
        BadInputError: they are more than the limit.
    """
    needed = frames * source.channels * source.height * source.width * IN_ONE
    what = f"one image of {frames:,} frames of {source.width}x{source.height}"
    _check(source, what, needed, limits, STRIP, "interpolate")


def check_model(
    net: Predictor,
    source: Source | Held,
    given: Tensor,
    tile: int | None,
    held: int | None,
    limits: Limits,
    task: Task = FORECAST,
) -> int:
    """Return the bytes of running `net` on `given` (..., T, C, H, W), in tiles or whole, beside `held` bytes of frames.

    Small frames need no look: what the model takes is measured on two sizes of them and grows with the pixels. With
    `held` None it runs on a GPU, whose memory is not counted.

    Raises:
        BadInputError: it takes more than the limit.
    """
    height, width = (side if tile is None else min(side, tile) for side in given.shape[-2:])
    if held is None or min(height, width) <= 2 * SMALL[1] or not net.capabilities.any_size:
        return held or 0
    less, more = (_peak(net, given[..., :side, :side], task) for side in SMALL)
    slope = max(more - less, 0) / (SMALL[1] ** 2 - SMALL[0] ** 2)
    what = f"running {type(net).__name__} on {given.shape[-1]}x{given.shape[-2]}"
    needed = held + int(WORKING * (more + slope * (height * width - SMALL[1] ** 2)))
    _check(source, what, needed, limits, *((SMALLER,) if task == FORECAST else (MIDDLES, "interpolate")))
    return needed


def _check(
    source: Source | Held, what: str, needed: int, limits: Limits, advice: str, section: str = "predict"
) -> None:
    LOG.debug("%s: %d bytes are counted for %s", source.name, needed, what)
    if needed > limits.bytes:
        have, gib = limits.bytes / 2**30, needed / 2**30
        fix = f"{advice} (--set {section}.memory={math.ceil(gib * 1.1)}, in Python limits=)"
        raise BadInputError(
            source.path, f"{what} takes about {gib:,.1f} GiB of memory, the limit is {have:.1f} GiB", fix
        )


def _peak(net: Predictor, given: Tensor, task: Task) -> int:
    """Return the most bytes that tensors held while one frame was predicted from `given`."""
    batch = given if given.ndim == 5 else given.unsqueeze(0)
    with _Live() as live:
        net.predict(batch[:1], 1, conditions=net.wanted(task.told(batch[:1])))
    return int(live.most)


def _storages(values: Any) -> list[torch.UntypedStorage]:
    return [value.untyped_storage() for value in tree_leaves(values) if isinstance(value, Tensor)]


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that operations make, until they are gone."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = 0
        self.most = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Return False: to skip its compiler, torch would first import it, which takes longer than most predictions."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = {storage.data_ptr() for storage in _storages((args, kwargs))}
        for storage in _storages(out):
            if storage.data_ptr() not in known:  # else a view, or done in place
                self._add(storage)
        return out

    def _add(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._forget, size)

    def _forget(self, size: int) -> None:
        self.now -= size
