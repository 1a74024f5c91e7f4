"""Pushed digits: digits that move only when they are pushed, with the pushes as actions, for models with actions.

All digits of a clip get the same pushes. Without them the future is unknown; with them it is determined.
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
from nextframe.data.sets.motion_digits import digits_for
from nextframe.data.sets.moving_digits import MOTIONS, Integers, draw

SLOTS = 3  # random numbers of a digit: which, start y and x


class PushedDigitsConfig(Config):
    """Options of the data set `pushed-digits`."""

    digits: str = "embedded"  # embedded, mnist, fashion, or a path to idx files
    count: int = Field(1, ge=1, le=64)  # digits in a clip
    reach: int = Field(4, ge=1)  # pixels of the strongest push, along each axis
    val_clips: int = Field(1_000, ge=1)
    test_clips: int = Field(1_000, ge=1)
    seed: int = Field(0, ge=0)  # which endless stream train is; val and test are the same for every seed


def open_pushed_digits(config: DataConfig) -> PushedDigits:
    """Return the generated clips that `config` asks for; its `options` are those of `PushedDigitsConfig`."""
    return PushedDigits(config, PushedDigitsConfig.parse(config.options, "options of pushed-digits"))


class PushedDigits(ClipSet):
    """Clips with the condition `actions` (B, T, 2), float in [-1, 1] as (y, x): the push on the way to each frame.

    A push of 1 moves by `reach` pixels. Walls stop what is pushed into them. The first entry is 0.
    """

    name = "pushed-digits"

    def __init__(self, config: DataConfig, options: PushedDigitsConfig) -> None:
        if config.stride != 1 or config.gap is not None:
            raise UserError("pushed-digits has an action for every frame: remove stride and gap")
        self.options, self.task = options, config.task
        height, width = config.size or (32, 32)
        self.digits = digits_for(options.digits, height, width)
        self.frame_shape = (3 if config.color == "rgb" else 1, height, width)

    def count(self, split: Split) -> int | None:
        """Return None for train, which is endless, else the number of fixed clips."""
        return {"train": None, "val": self.options.val_clips, "test": self.options.test_clips}[split]

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` as one uint8 batch with their actions; the same index always gives the same clip."""
        check_indices(self, split, indices)
        digits, count, steps = self.digits[split], self.options.count, self.task.length
        key = derive_seed(self.name, split, self.options.seed if split == "train" else 0)
        random = uniforms(key, indices, count * SLOTS + 2 * steps)
        actions = 2 * random[:, count * SLOTS :].reshape(-1, steps, 2) - 1
        actions[:, 0] = 0
        start = random[:, : count * SLOTS].reshape(-1, count, SLOTS)
        free = (self.frame_shape[1] - digits.shape[1], self.frame_shape[2] - digits.shape[2])
        places = pushed_path(start[..., 1:], actions * self.options.reach, free)
        which = (start[..., 0] * len(digits)).astype(np.int64)
        frames = draw(digits, which, places, self.frame_shape[1:], MOTIONS["srivastava"])
        shown = torch.from_numpy(frames).unsqueeze(2).expand(-1, -1, self.frame_shape[0], -1, -1).contiguous()
        return self.task.split(shown, Conditions(timed={"actions": torch.from_numpy(actions).float()}))


def pushed_path(start: Floats, pushes: Floats, free: tuple[int, int]) -> Integers:
    """Return where digits are drawn, (N, T, D, 2) as (y, x) in whole pixels.

    Args:
        start: (N, D, 2) in [0, 1), parts of `free`.
        pushes: (N, T, 2) in pixels, on the way to each frame; the same for all D digits.
        free: pixels (height, width) beside a digit, where walls stop it.
    """
    limit = np.array(free, dtype=np.float64)
    place = start * limit
    path = np.empty((pushes.shape[1], *place.shape))
    for now, push in zip(path, pushes.transpose(1, 0, 2), strict=True):
        place = np.clip(place + push[:, None], 0, limit)
        now[:] = place
    return np.rint(path).astype(np.int64).transpose(1, 0, 2, 3)
