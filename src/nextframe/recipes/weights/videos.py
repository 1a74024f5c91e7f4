"""Clips of free videos, for weights of real video: which frames and which part of them is a function of the index.

Videos are read through OpenCV, which brings its own decoder, so that weights can be trained where av is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from nextframe.core.clip import Clip, Task
from nextframe.core.errors import BadInputError
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import ClipSet, Indices, Split
from nextframe.media.fit import fit_image
from nextframe.media.source import Image

TRIES = 4  # draws before a clip that stands still, or crosses a cut, is taken all the same
STILL, CUT = 0.8, 40.0  # levels of 0-255, the mean difference of neighbouring frames
STRIDES = (1, 1, 1, 2)
SMALLER = 0.5  # of the clips are cut larger, up to the whole shorter side, and scaled down
MIRRORED, TRANSPOSED, REVERSED = 0.5, 0.3, 0.2
HELD = 0.06  # of the clips show frames more than once, as animation on twos does
READERS = 8  # videos read at a time
HOLDS = ((2,), (3,), (1, 2, 3))  # how long a frame is held: twos, threes, irregular


class VideoClips(ClipSet):
    """Random clips of a few videos in memory, without end: longer videos more often, by the root of their length."""

    def __init__(self, name: str, videos: Sequence[Tensor], task: Task, side: int) -> None:
        """Take `videos` (T, 3, H, W) uint8; clips are squares of `side` pixels.

        Raises:
            ValueError: a video that is too short or too small, or a task other than a forecast.
        """
        if not task.is_forecast:
            raise ValueError(f"{name}: clips of videos are for forecasts")
        self.name, self.task, self.side = name, task, side
        self.frame_shape = (3, side, side)
        if any(len(video) < task.length or min(video.shape[-2:]) < side for video in videos):
            raise ValueError(f"{name}: videos need {task.length} frames of {side} pixels and more")
        self.images = [video.permute(0, 2, 3, 1).numpy() for video in videos]  # what OpenCV works on
        roots = np.array([len(video) for video in videos]) ** 0.5
        self.chances = roots / roots.sum()

    def count(self, split: Split) -> int | None:
        """Return None for train, which never ends; there are no others."""
        return None if split == "train" else 0

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices`, uint8."""
        clips, context = [self._clip(int(index)) for index in indices], self.task.context
        return Clip(torch.stack([clip[:context] for clip in clips]), torch.stack([clip[context:] for clip in clips]))

    def _clip(self, index: int) -> Tensor:
        """Return clip `index`, (T, 3, side, side)."""
        random = numpy_generator(self.name, index)
        video = self.images[random.choice(len(self.images), p=self.chances)]
        frames = self._part(video, random)
        for _ in range(TRIES - 1):
            if moves(frames):
                break
            frames = self._part(video, random)
        if random.random() < HELD:
            frames = [frames[number] for number in held(self.task.length, random)]
        return turned(torch.from_numpy(np.stack([np.stack(cv2.split(frame)) for frame in frames])), random)

    def _part(self, video: Image, random: Generator) -> list[Image]:
        """Return frames of `video` (T, H, W, 3) and a square of them, drawn at random and scaled to `side`."""
        length, (height, width) = self.task.length, video.shape[1:3]
        stride = random.choice([stride for stride in STRIDES if stride * (length - 1) < len(video)])
        first = random.integers(len(video) - stride * (length - 1))
        largest = min(height, width)
        side = random.integers(self.side, largest + 1) if random.random() < SMALLER else self.side
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        frames = video[first : first + stride * (length - 1) + 1 : stride, top : top + side, left : left + side]
        return [fit_image(frame, (self.side, self.side), "crop") for frame in frames]


def moves(frames: Sequence[Image]) -> bool:
    """Return whether something moves in frames (H, W, C), and nothing as much as at a cut."""
    steps = [cv2.norm(later, earlier, cv2.NORM_L1) / later.size for earlier, later in pairwise(frames)]
    return float(np.mean(steps)) > STILL and max(steps) < CUT


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


def read_videos(paths: Sequence[Path]) -> list[Tensor]:
    """Return what `read_video` does of each path, several at a time; errors as there."""
    with ThreadPoolExecutor(READERS) as readers:
        return list(readers.map(read_video, paths))


def read_video(path: Path) -> Tensor:
    """Return all frames of a video, (T, 3, H, W) uint8, the colours of a pixel side by side in memory.

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
    return _rgb(read).contiguous()


def _rgb(images: Sequence[Image]) -> Tensor:
    """Return images (H, W, 3) with OpenCV's order of colours as (N, 3, H, W)."""
    return torch.from_numpy(np.stack([cv2.cvtColor(image, cv2.COLOR_BGR2RGB) for image in images])).permute(0, 3, 1, 2)
