"""Motion digits: videos whose class is how a digit moves, and nothing else.

Eight classes: along which axis it moves, how fast, and what it does at a wall: bounce, or go on from the opposite
wall. The digit, its start and its first direction are random. Positions are uniform over the frame in every class and
at every time, so one frame says nothing about the class: a classifier must see motion.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field

from nextframe.core.clip import Clip
from nextframe.core.conditions import Conditions
from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import Floats, derive_seed, uniforms
from nextframe.data.clipset import ClipSet, DataConfig, Indices, Split, check_indices
from nextframe.data.sets.digits import Images, open_digits
from nextframe.data.sets.moving_digits import MOTIONS, Integers, draw

CLASSES = tuple(f"{axis} {speed} {wall}" for axis in ("down", "across") for speed in ("slow", "fast")
                for wall in ("bounce", "wrap"))  # fmt: skip
SPEEDS = ((0.07, 0.09), (0.14, 0.18))  # slow and fast, in free widths per frame: 16 frames always reach a wall
SLOTS = 5  # random numbers of a video: which digit, place along and beside the axis, sign, speed
DIGIT_SHARE = 28 / 64  # of the frame's shorter side, as in Moving MNIST


class MotionDigitsConfig(Config):
    """Options of the data set `motion-digits`; a clip starts every `clip_step` frames of a video."""

    digits: str = Field("embedded", description="embedded, mnist, fashion, or a path to idx files")
    frames: int = Field(32, ge=2, description="frames of a video")
    clip_step: int = Field(8, ge=1, description="frames from the start of one train clip to the next")
    eval_step: int = Field(8, ge=1, description="the same for val and test")
    train_videos: int | None = Field(1_600, ge=8, description="null: endless, for training without labels")
    val_videos: int = Field(400, ge=8, description="videos of the val split")
    test_videos: int = Field(400, ge=8, description="videos of the test split")
    seed: int = Field(0, ge=0, description="which train videos; val and test are the same for every seed")


def open_motion_digits(config: DataConfig) -> MotionDigits:
    """Return the labelled videos; `config.options` are those of `MotionDigitsConfig`."""
    return MotionDigits(config, MotionDigitsConfig.parse(config.options, "options of motion-digits"))


class MotionDigits(ClipSet):
    """Windows of generated videos, `Clip.label` the motion; classes take turns, so every split is balanced."""

    name = "motion-digits"
    classes = CLASSES

    def __init__(self, config: DataConfig, options: MotionDigitsConfig) -> None:
        self.options, self.task, self.stride = options, config.task, config.stride
        height, width = config.size or (32, 32)
        self.frame_shape = (3 if config.color == "rgb" else 1, height, width)
        self.digits = digits_for(options.digits, height, width)
        span = (self.task.length - 1) * config.stride + 1
        if span > options.frames:
            fix = "make data.options.frames longer"
            raise UserError(f"motion-digits: videos have {options.frames} frames, a clip needs {span}; {fix}")
        self.windows = {"train": (options.frames - span) // options.clip_step + 1}
        self.windows["val"] = self.windows["test"] = (options.frames - span) // options.eval_step + 1

    def count(self, split: Split) -> int | None:
        """Return how many windows all videos of `split` have; None if train is endless."""
        options = self.options
        videos = {"train": options.train_videos, "val": options.val_videos, "test": options.test_videos}[split]
        return None if videos is None else videos * self.windows[split]

    def source(self, split: Split, index: int) -> str:
        """Return the video of a clip."""
        return f"{split}/{index // self.windows[split]}"

    def label(self, split: Split, index: int) -> int:
        """Return the motion of a clip's video."""
        return index // self.windows[split] % len(CLASSES)

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` as one uint8 batch with labels (B,); the same index always gives the same clip."""
        check_indices(self, split, indices)
        step = self.options.clip_step if split == "train" else self.options.eval_step
        videos, windows = np.divmod(indices, self.windows[split])
        seed = self.options.seed if split == "train" else 0
        random = uniforms(derive_seed(self.name, split, seed), videos, SLOTS)
        labels = videos % len(CLASSES)
        times = windows[:, None] * step + np.arange(self.task.length) * self.stride  # (B, T)
        digits = self.digits[split]
        which = (random[:, :1] * len(digits)).astype(np.int64)  # (B, 1)
        size = self.frame_shape[1:]
        free = (size[0] - digits.shape[1], size[1] - digits.shape[2])
        places = motion_path(random[:, 1:], labels, times, free)[:, :, None]  # (B, T, 1, 2)
        frames = torch.from_numpy(draw(digits, which, places, size, MOTIONS["srivastava"])).unsqueeze(2)
        if self.frame_shape[0] == 3:
            frames = frames.expand(-1, -1, 3, -1, -1).contiguous()
        return self.task.split(frames, Conditions(fixed={"label": torch.from_numpy(labels)}))


def motion_path(random: Floats, labels: Integers, times: Integers, free: tuple[int, int]) -> Integers:
    """Return where digits are drawn, (N, T, 2) as (y, x) in whole pixels.

    Args:
        random: (N, 4) in [0, 1): place along the axis, place beside it, sign, speed within its range.
        labels: (N,) numbers of `CLASSES`.
        times: (N, T) frame numbers.
        free: pixels (height, width) beside a digit.
    """
    axis, fast, wrap = labels // 4, labels // 2 % 2, labels % 2
    low, high = np.array(SPEEDS)[fast].T
    speed = np.where(random[:, 2] < 0.5, -1, 1) * (low + (high - low) * random[:, 3])  # free widths per frame
    # The phase starts uniformly on one whole period: 1 for wrapping, 2 (there and back) for bouncing.
    period = np.where(wrap, 1.0, 2.0)
    phase = (random[:, 0] * period)[:, None] + speed[:, None] * times  # (N, T)
    phase %= period[:, None]
    along = np.where(phase > 1, 2 - phase, phase)
    beside = np.broadcast_to(random[:, 1:2], along.shape)
    down = (axis == 0)[:, None]
    place = np.stack([np.where(down, along, beside), np.where(down, beside, along)], axis=-1)
    pixels: Integers = np.minimum((place * (np.array(free) + 1)).astype(np.int64), free)
    return pixels


def digits_for(name: str, height: int, width: int) -> dict[Split, Images]:
    """Return the digits called `name` by split, in the size that they have in frames of height x width.

    Raises:
        UserError: the frames are too small, or there are no such digits.
    """
    side = round(min(height, width) * DIGIT_SHARE)
    if side < 7:
        raise UserError(f"size {height}x{width} is too small for a digit; give at least 16x16")
    splits = open_digits(name)
    return {
        "train": resized(splits.train, side),
        "val": resized(splits.val, side),
        "test": resized(splits.test, side),
    }


def resized(digits: Images, side: int) -> Images:
    """Return the digits at side x side pixels, each pixel the mean of the area it covers."""
    from PIL import Image

    if digits.shape[1:] == (side, side):
        return digits
    return np.stack([np.asarray(Image.fromarray(d).resize((side, side), Image.Resampling.BOX)) for d in digits])
