"""Clips of free videos, for weights of real video: which frames and which part of them is a function of the index.

Videos are read through OpenCV, which brings its own decoder, so that weights can be trained where av is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from nextframe.core.clip import Clip, Task
from nextframe.core.errors import BadInputError
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import ClipSet, Indices, Split
from nextframe.media.fit import fit_frame

TRIES = 4  # draws before a clip that stands still, or crosses a cut, is taken all the same
STILL, CUT = 0.8, 40.0  # levels of 0-255, the mean difference of neighbouring frames
STRIDES = (1, 1, 1, 2)
SMALLER = 0.5  # of the clips are cut larger, up to the whole shorter side, and scaled down
MIRRORED, TRANSPOSED, REVERSED = 0.5, 0.3, 0.2
HELD = 0.06  # of the clips show frames more than once, as animation on twos does
HOLDS = ((2,), (3,), (1, 2, 3))  # how long a frame is held: twos, threes, irregular


class VideoClips(ClipSet):
    """Random clips of a few videos in memory, without end: longer videos more often, by the root of their length."""

    def __init__(self, name: str, videos: Sequence[Tensor], task: Task, side: int) -> None:
        """Take `videos` (T, 3, H, W) uint8; clips are squares of `side` pixels.

        Raises:
            ValueError: a video that is too short or too small.
        """
        self.name, self.videos, self.task, self.side = name, videos, task, side
        self.frame_shape = (3, side, side)
        if any(len(video) < task.length or min(video.shape[-2:]) < side for video in videos):
            raise ValueError(f"{name}: videos need {task.length} frames of {side} pixels and more")
        roots = np.array([len(video) for video in videos]) ** 0.5
        self.chances = roots / roots.sum()

    def count(self, split: Split) -> int | None:
        """Return None for train, which never ends; there are no others."""
        return None if split == "train" else 0

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices`, uint8."""
        return self.task.split(torch.stack([self._clip(int(index)) for index in indices]))

    def _clip(self, index: int) -> Tensor:
        """Return clip `index`, (T, 3, side, side)."""
        random = numpy_generator(self.name, index)
        video = self.videos[random.choice(len(self.videos), p=self.chances)]
        frames = self._part(video, random)
        for _ in range(TRIES - 1):
            if moves(frames):
                break
            frames = self._part(video, random)
        if random.random() < HELD:
            frames = frames[held(self.task.length, random)]
        return turned(frames, random)

    def _part(self, video: Tensor, random: Generator) -> Tensor:
        """Return frames and a square of them, drawn at random and scaled to `side`."""
        length, (height, width) = self.task.length, video.shape[-2:]
        stride = random.choice([stride for stride in STRIDES if stride * (length - 1) < len(video)])
        first = random.integers(len(video) - stride * (length - 1))
        largest = min(height, width)
        side = random.integers(self.side, largest + 1) if random.random() < SMALLER else self.side
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        frames = video[first : first + stride * (length - 1) + 1 : stride, :, top : top + side, left : left + side]
        if side == self.side:
            return frames
        return torch.stack([fit_frame(frame, (self.side, self.side), "crop") for frame in frames])


def moves(frames: Tensor) -> bool:
    """Return whether something moves in (T, C, H, W) uint8, and nothing as much as at a cut."""
    steps = frames.float().diff(dim=0).abs().mean((1, 2, 3))
    return bool(steps.mean() > STILL) and bool(steps.max() < CUT)


def held(length: int, random: Generator) -> list[int]:
    """Return which of `length` frames is shown at each time if each is held for a while; the first may begin before."""
    holds = HOLDS[random.integers(len(HOLDS))]
    phase = int(random.integers(max(holds)))
    ends = accumulate(random.choice(holds, length))
    shown = np.searchsorted(np.array(list(ends)), np.arange(length) + phase, side="right")
    return [int(number) for number in shown - shown[0]]


def turned(frames: Tensor, random: Generator) -> Tensor:
    """Return square frames (T, C, H, W) mirrored, transposed and played backwards, each or not."""
    if random.random() < MIRRORED:
        frames = frames.flip(3)
    if random.random() < TRANSPOSED:
        frames = frames.transpose(2, 3)
    return frames.flip(0) if random.random() < REVERSED else frames


def read_video(path: Path) -> Tensor:
    """Return all frames of a video, (T, 3, H, W) uint8.

    Raises:
        BadInputError: OpenCV reads no frame of it.
    """
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    if not frames:
        raise BadInputError(path, "OpenCV cannot read a frame of it", "copy it again")
    return _rgb(frames)


def read_stills(path: Path) -> Tensor:
    """Return the images of a list of JPEG files in memory, saved by torch, as (N, 3, H, W) uint8.

    Raises:
        BadInputError: it has no images, or one that OpenCV cannot read.
    """
    stored = torch.load(path, weights_only=True)
    images = [cv2.imdecode(jpeg.numpy(), cv2.IMREAD_COLOR) for jpeg in stored]
    read = [image for image in images if image is not None]
    if not read or len(read) < len(images):
        raise BadInputError(path, "has no images, or one that OpenCV cannot read", "copy it again")
    return _rgb(read)


def _rgb(images: Sequence[Any]) -> Tensor:
    """Return images (H, W, 3) with OpenCV's order of colours as (N, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(np.stack(images)[..., ::-1].transpose(0, 3, 1, 2)))
