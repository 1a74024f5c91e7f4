"""A source: one thing that has frames (a video, an animation, a folder of images, an array), read as a stream."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.errors import BadInputError, UserError
from nextframe.media.limits import Limits
from nextframe.media.reading import DEFAULT, Levels, Reading

Color = Literal["grey", "rgb"]
Image = NDArray[np.uint8]  # (H, W, C), C is 1 or 3


class Source(ABC):
    """Frames of one size, numbered from 0 in the order in which they are shown, at `stride`.

    Rules for every kind: rotation metadata is applied; pixels are kept as stored even if they are not square
    (`notes` says so); transparency is composited over black; `color` None keeps grey sources grey and
    makes all others RGB. A damaged frame is an error when it is reached, never a frame; those before it can be read.
    """

    kind: str = "source"
    videos = 1  # that are read at once

    def __init__(
        self, path: Path, stride: int, color: Color | None, limits: Limits, reading: Reading = DEFAULT
    ) -> None:
        if stride < 1:
            raise UserError(f"stride must be at least 1, not {stride}")
        self.path, self.name, self.stride, self.limits = path, path.name, stride, limits
        self.color, self.reading, self.levels = color, reading, Levels(reading.range)
        self.height = self.width = 0
        self.native_channels = 3
        self.native_fps = 10.0
        self.native_count: int | None = None  # before the stride; None: not known until counted
        self.sequences = 1  # an array file may hold many; this source is one of them
        self.notes: list[str] = []
        self.missing = ""  # what the file promises and does not hold, once its end was reached; one of the notes
        self.uneven = False  # whether frames have different durations; of a video it is known once it is decoded

    @abstractmethod
    def decode(self, start: int = 0) -> Generator[Image, None, None]:
        """Yield every frame from number `start`, before the stride, as uint8 (H, W, C) in the source's own colours.

        Raises:
            BadInputError: a damaged frame, a frame of another size, or more than the limits allow.
        """

    def remarks(self) -> list[str]:
        """Return the notes and what reading has told besides, so of a source that was decoded to its end."""
        return [*self.notes, *self.levels.notes()]

    @property
    def channels(self) -> int:
        """Channels of the frames that are yielded: 1 (grey) or 3 (RGB)."""
        return {"grey": 1, "rgb": 3, None: self.native_channels}[self.color]

    @property
    def fps(self) -> float:
        """Frames per second at the stride."""
        return self.native_fps / self.stride

    @property
    def count(self) -> int | None:
        """Frames at the stride; None while nobody has counted them."""
        return None if self.native_count is None else -(-self.native_count // self.stride)

    def counted(self) -> int:
        """Return the number of frames, decoding the whole source if it is not known."""
        if self.native_count is None:
            self.native_count = sum(1 for _ in self.decode())
        return -(-self.native_count // self.stride)

    def frames(self, start: int = 0, stop: int | None = None) -> Generator[Tensor, None, None]:
        """Yield frames `start` to `stop` (not included; None: the last) one by one as uint8 (C, H, W)."""
        if start < 0 or (stop is not None and stop <= start):
            return
        with closing(self.decode(start * self.stride)) as images:  # closed at once if the caller stops early
            for index, image in enumerate(images):
                if index % self.stride == 0:
                    yield to_tensor(recolor(image, self.channels))
                    if stop is not None and start + index // self.stride + 1 >= stop:
                        return

    def clip(self, start: int, length: int) -> Tensor:
        """Return `length` frames from `start` as uint8 (T, C, H, W); UserError if there are not enough."""
        self.limits.check_bytes(self.path, length * self.channels * self.height * self.width)
        frames = stacked(self.frames(start, start + length), length)
        if len(frames) < length:
            raise UserError(f"{self.path}: asked for frames {start} to {start + length - 1}, there are {self.count}")
        return frames

    def last(self, n: int) -> Tensor:
        """Return the last `n` frames (fewer where there are fewer) as uint8 (T, C, H, W), without holding the rest.

        With a stride they are counted back from the very last frame.
        """
        keep = (n - 1) * self.stride + 1
        self.limits.check_bytes(self.path, keep * self.channels * self.height * self.width)
        try:
            tail = deque(self.tail(keep), maxlen=keep)
        except BadInputError:
            tail = deque()
        if len(tail) < keep:  # the jump landed too late or at frames that cannot be decoded: read it all
            tail = deque(self.decode(), maxlen=keep)
        chosen = list(tail)[:: -self.stride][:n]
        tail.clear()
        images = (chosen.pop() for _ in range(len(chosen)))  # the first one is last
        return stacked((to_tensor(recolor(image, self.channels)) for image in images), len(chosen))

    def tail(self, n: int) -> Iterator[Image]:
        """Yield at least the last `n` frames before the stride (all of them, if a source cannot seek)."""
        return self.decode(max(0, self.native_count - n) if self.native_count is not None else 0)

    def damage(self, frame: int, what: str) -> BadInputError:
        """Return the error for `frame` (before the stride) that cannot be decoded."""
        if frame == 0:
            return BadInputError(self.path, f"the first frame cannot be decoded ({what})")
        before = "the frame before it" if frame == 1 else f"the {frame} frames before it"
        return BadInputError(self.path, f"frame {frame} is damaged ({what})", f"{before} can be read")

    def check_count(self, frame: int) -> None:
        """Refuse frame number `frame` when it is beyond the limit."""
        if frame >= self.limits.frames:
            raise BadInputError(self.path, f"there are more than {self.limits.frames:,} frames, the limit")


def stacked(frames: Iterable[Tensor], most: int) -> Tensor:
    """Return up to `most` frames (C, H, W) as (T, C, H, W), holding none of them twice."""
    every, count = torch.empty(0), 0
    for count, frame in enumerate(frames, start=1):
        if count == 1:
            every = frame.new_empty(most, *frame.shape)
        every[count - 1] = frame
    return every[:count]


def recolor(image: Image, channels: int) -> Image:
    """Return `image` (H, W, 1 or 3) with `channels` channels: grey is ITU-R BT.601 luma, RGB repeats grey."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY))[..., None]


def over_black(image: NDArray[np.uint8]) -> Image:
    """Composite (H, W, C + alpha) over black, rounding to nearest, and return (H, W, C)."""
    product = image[..., :-1] * image[..., -1:].astype(np.uint16)
    product += 127
    product //= 255  # in place: a large image must not be held many times
    return product.astype(np.uint8)


def to_tensor(image: Image) -> Tensor:
    """Return (H, W, C) as a tensor (C, H, W) with its own memory."""
    return torch.from_numpy(image.transpose(2, 0, 1).copy("C"))  # a view may not be writable, or change later
