"""Moving digits: clips that are a pure, vectorised function of (seed, index), so nothing is stored or repeated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import Floats, derive_seed, uniforms
from nextframe.data.clipset import ClipSet, DataConfig, Indices, Split, check_indices
from nextframe.data.sets.digit_renderer import OBJECTS, PLACES, WHICH, add_up, render
from nextframe.data.sets.digits import DigitSplits, Images, open_digits

Integers = NDArray[np.int64]

CHUNK_BYTES = 3 << 19  # bytes of frames drawn at once: what fits in a core's caches together with its digits
SLOTS = 6  # random numbers of a digit: which, start y and x, direction, speed, one spare


class MovingDigitsConfig(Config):
    """Options of the data set `moving-digits`."""

    digits: str = Field("embedded", description="embedded, mnist, fashion, or a path to idx files")
    count: int = Field(2, ge=1, le=64, description="digits in a clip")
    motion: Literal["srivastava", "additive"] = Field(
        "srivastava", description="srivastava: as in Moving MNIST; additive: 2 to 6 pixels a frame, brightness added up"
    )
    val_clips: int = Field(1_000, ge=1, description="clips of the val split")
    test_clips: int = Field(1_000, ge=1, description="clips of the test split")
    seed: int = Field(0, ge=0, description="which endless stream train is; val and test are the same for every seed")
    draw: Literal["reading", "device"] = Field(
        "reading", description="where frames are drawn; device: where the model is, the same to the last bit"
    )
    objects: bool = Field(
        False, description="each digit's own frames too, to measure components by; models do not see them"
    )

    @model_validator(mode="after")
    def _drawn_alone(self) -> MovingDigitsConfig:
        if self.objects and self.draw == "device":
            raise ValueError("objects are drawn while reading: remove draw=device or objects")
        return self


@dataclass(frozen=True)
class Motion:
    """How digits move and overlap.

    `path(random, free, frames)` takes uniform numbers (N, D, SLOTS) and the free pixels (height, width) beside a
    digit; it returns where digits are drawn, (N, frames, D, 2) as (y, x). `merge(frames, more, out)` merges frames of
    two digits into `out`, which may be `frames`; `merged(frames, more)` returns the same of tensors. No digit is drawn
    more than `margin` pixels outside.
    """

    path: Callable[[Floats, tuple[int, int], int], Integers]
    merge: Callable[[Images, Images, Images], None]
    margin: int
    merged: Callable[[Tensor, Tensor], Tensor]


def open_moving_digits(config: DataConfig) -> MovingDigits:
    """Return the generated clips that `config` asks for; its `options` are those of `MovingDigitsConfig`."""
    return MovingDigits(config, MovingDigitsConfig.parse(config.options, "options of moving-digits"))


class MovingDigits(ClipSet):
    """Digits that move over black and bounce off the frame's edges; train is endless, val and test are fixed."""

    name = "moving-digits"

    def __init__(self, config: DataConfig, options: MovingDigitsConfig, digits: DigitSplits | None = None) -> None:
        self.options = options
        self.digits = digits or open_digits(options.digits)
        self._images: dict[tuple[Split, str], Tensor] = {}  # on devices
        height, width = config.size or (64, 64)
        digit = self.digits.train.shape[1:]
        if height < digit[0] or width < digit[1]:
            fits = f"{digit[0]}x{digit[1]}"
            raise UserError(f"size {height}x{width} is smaller than a digit; give at least {fits}")
        self.task = config.task
        self.stride = config.stride
        self.frame_shape = (3 if config.color == "rgb" else 1, height, width)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_images": {}}  # a loader's worker draws nothing there

    def count(self, split: Split) -> int | None:
        """Return None for train, which is endless, else the number of fixed clips."""
        return {"train": None, "val": self.options.val_clips, "test": self.options.test_clips}[split]

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` as one uint8 batch; the same index always gives the same clip."""
        check_indices(self, split, indices)
        seed = self.options.seed if split == "train" else 0
        random = uniforms(derive_seed("moving-digits", split, seed), indices, self.options.count * SLOTS)
        which, positions = self._plan(split, random.reshape(len(indices), self.options.count, SLOTS))
        if self.options.draw == "device":
            return self._not_drawn(which, positions)
        frames = draw(self.digits.of(split), which, positions, self.frame_shape[1:], self._motion)
        clip = self._clip(torch.from_numpy(frames).unsqueeze(2))
        return replace(clip, extras={OBJECTS: self._alone(split, which, positions)}) if self.options.objects else clip

    @property
    def finishes_on_device(self) -> bool:
        """Whether frames are drawn there."""
        return self.options.draw == "device"

    def on_device(self, split: Split, clip: Clip, device: torch.device | str) -> Clip:
        """Return the clips on `device`; frames that were only planned are drawn there."""
        if WHICH not in clip.extras:
            return clip.to(device)
        key = (split, str(device))
        if key not in self._images:
            self._images[key] = torch.tensor(self.digits.of(split), device=device)
        which, places = (clip.extras[name].to(device, non_blocking=True) for name in (WHICH, PLACES))
        size = self.frame_shape[1:]
        frames = render(self._images[key], which, places, size, self._motion.margin, self._motion.merged)
        return self._clip(frames.unsqueeze(2)).to(device)

    def _alone(self, split: Split, which: Integers, places: Integers) -> Tensor:
        """Return each digit by itself, (B, T + H, D, C, H, W) uint8: context frames, then target frames."""
        images, size, alone = self.digits.of(split), self.frame_shape[1:], []
        for index in range(which.shape[1]):
            frames = draw(images, which[:, [index]], places[:, :, [index]], size, self._motion)
            alone.append(self._clip(torch.from_numpy(frames).unsqueeze(2)).frames)
        return torch.stack(alone, dim=2)

    def _not_drawn(self, which: Integers, places: Integers) -> Clip:
        """Return black frames that take no memory, and the plan as extras."""
        plan = {WHICH: torch.from_numpy(which), PLACES: torch.from_numpy(places.astype(np.int16))}
        return replace(self.task.not_drawn(len(which), self.frame_shape), extras=plan)

    def _clip(self, clips: Tensor) -> Clip:
        """Cut grey sequences (B, T, 1, H, W) into context and target, in the requested colours."""
        if self.frame_shape[0] == 3:
            clips = clips.expand(-1, -1, 3, -1, -1).contiguous()
        return self.task.split(clips)

    @property
    def _motion(self) -> Motion:
        return MOTIONS[self.options.motion]

    def _plan(self, split: Split, random: Floats) -> tuple[Integers, Integers]:
        """Return which digits (B, D) and where they are drawn (B, T, D, 2)."""
        images = self.digits.of(split)
        free = (self.frame_shape[1] - images.shape[1], self.frame_shape[2] - images.shape[2])
        steps = (self.task.length - 1) * self.stride + 1
        which = (random[..., 0] * len(images)).astype(np.int64)
        return which, self._motion.path(random, free, steps)[:, :: self.stride]


def srivastava_path(random: Floats, free: tuple[int, int], frames: int) -> Integers:
    """Move in the unit box by 0.1 a frame in a random direction; clamp at its walls and bounce.

    Srivastava et al. 2015 (the standard Moving MNIST): a digit moves before it is first drawn, and pixels are
    truncated. Digits here are drawn with replacement, so that a clip depends on its index alone.
    """
    theta = 2 * np.pi * random[..., 3]
    velocity = 0.1 * np.stack([np.sin(theta), np.cos(theta)], axis=-1)  # (N, D, 2) as (y, x)
    place = random[..., 1:3].copy()
    path = np.empty((frames, *place.shape))
    for now in path:
        place += velocity
        velocity = np.where((place <= 0) | (place >= 1), -velocity, velocity)
        np.clip(place, 0, 1, out=place)
        now[:] = place
    return (path * free).astype(np.int64).transpose(1, 0, 2, 3)


def additive_path(random: Floats, free: tuple[int, int], frames: int) -> Integers:
    """Move by 2 to 6 whole pixels per frame and turn back 2 pixels outside the frame.

    tencia/video_predict: theta = pi * U(-1, 1), start uniform in the free area, drawn at the nearest pixel. A
    component of the velocity flips if the next position would be outside by more than 2.
    """
    theta = np.pi * (2 * random[..., 3] - 1)
    speed = 2 + np.floor(random[..., 4] * 5)
    velocity = speed[..., None] * np.stack([np.sin(theta), np.cos(theta)], axis=-1)  # (N, D, 2) as (y, x)
    limit = np.array(free, dtype=np.float64)
    place = random[..., 1:3] * limit
    path = np.empty((frames, *place.shape))
    for now in path:
        now[:] = place
        ahead = place + velocity
        velocity = np.where((ahead < -2) | (ahead > limit + 2), -velocity, velocity)
        place = place + velocity
    return np.rint(path).astype(np.int64).transpose(1, 0, 2, 3)


def merge_max(frames: Images, more: Images, out: Images) -> None:
    """Write the brighter of two pixels to `out`."""
    np.maximum(frames, more, out=out)


def merge_add(frames: Images, more: Images, out: Images) -> None:
    """Write the sum, clipped to 255, to `out` (the public code wraps modulo 256 there, contrary to its intent)."""
    np.minimum(more, ~frames, out=more)  # ~frames is 255 - frames: the room left
    np.add(frames, more, out=out)


MOTIONS = {
    "srivastava": Motion(srivastava_path, merge_max, margin=0, merged=torch.maximum),
    "additive": Motion(additive_path, merge_add, margin=8, merged=add_up),  # 2 outside, then at most one step of 6
}


def draw(digits: Images, which: Integers, places: Integers, size: tuple[int, ...], motion: Motion) -> Images:
    """Return frames (N, T, H, W) uint8 with digit `which` (N, D) drawn at `places` (N, T, D, 2).

    A frame with one digit is a window of a black canvas with the digit in its middle, so drawing is copying windows
    (64 rows of 64 bytes each), which runs at the speed of memory.
    """
    height, width = size
    frames = np.empty((*places.shape[:2], height, width), np.uint8)
    chunk = max(1, CHUNK_BYTES // max(1, frames[:1].size))
    for first in range(0, len(frames), chunk):
        part = slice(first, first + chunk)
        _draw_chunk(digits, which[part], places[part], frames[part], motion)
    return frames


def _draw_chunk(digits: Images, which: Integers, places: Integers, frames: Images, motion: Motion) -> None:
    edge, size = np.array(digits.shape[1:]), np.array(frames.shape[2:])
    reach = size - edge + motion.margin  # distance of a digit from the canvas's edge
    canvas = np.zeros((*which.shape, *(edge + 2 * reach)), np.uint8)  # (n, D, rows, columns)
    canvas[:, :, reach[0] : reach[0] + edge[0], reach[1] : reach[1] + edge[1]] = digits[which]
    rows, columns = canvas.shape[2:]
    corner = (reach - places) @ (columns, 1)  # (n, T, D): where a window begins within its canvas
    corner += (np.arange(which.size) * rows * columns).reshape(len(which), 1, -1)
    last = canvas.size - (size[0] - 1) * columns - size[1]
    # A row of a window is one item of its width in bytes, so that it is copied as a whole and not byte by byte.
    row = canvas.reshape(-1)[: size[1]].view(f"V{size[1]}")
    windows = as_strided(row, (last + 1, size[0]), (1, columns), writeable=False)

    def layer(digit: int) -> Images:
        copied: Images = windows[corner[..., digit]].view(np.uint8)
        return copied.reshape(frames.shape)

    if which.shape[1] == 1:
        frames[:] = layer(0)
        return
    motion.merge(layer(0), layer(1), frames)
    for digit in range(2, which.shape[1]):
        motion.merge(frames, layer(digit), frames)
