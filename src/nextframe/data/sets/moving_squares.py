"""Moving squares: the generated clips of the first Keras example of a ConvLSTM (jeammimi, 2016).

Three to seven white squares of 4x4 or 6x6 pixels move in straight lines, by one pixel or none along each axis, and may
leave the frame. The example trains on noisy frames to predict clean ones: at half of the times a square and the pixel
around it are a tenth lighter or darker.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from nextframe.core.clip import Clip, as_uint8
from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.seeds.seeding import numpy_generator
from nextframe.data.clipset import ClipSet, DataConfig, Indices, Split, check_indices

FEWEST, MOST = 3, 7  # squares of a clip
HALF = (2, 3)  # a square's half width
MARGIN, SIDE = 20, 40  # pixels around the frame in which squares go on unseen; side of the example's frame
NOISE = 0.1  # levels of [0, 1]
NOISY, CLEAN = "noisy_frames", "clean_frames"  # extras: what is read in training, and what it should have been
Frames = NDArray[np.float32]


class MovingSquaresConfig(Config):
    """Options of the data set `moving-squares`; the numbers are the example's, which has no test split."""

    train_clips: int = Field(900, ge=1, description="fixed clips to train on, as the example's 900")
    val_clips: int = Field(100, ge=1, description="fixed clips to validate on")
    test_clips: int = Field(200, ge=1, description="fixed clips to measure on")
    seed: int = Field(0, ge=0, description="which clips are drawn")


def open_moving_squares(config: DataConfig) -> MovingSquares:
    """Return the generated clips that `config` asks for; its `options` are those of `MovingSquaresConfig`."""
    return MovingSquares(config, MovingSquaresConfig.parse(config.options, "options of moving-squares"))


class MovingSquares(ClipSet):
    """Clips with a noisy context and a clean target.

    The extras `noisy_frames` and `clean_frames` (B, T + H', C, H, W) float32 are all frames of a clip both ways. Noise
    makes black pixels darker than 0 in the former, as in the example; the context is cut to [0, 1].
    """

    name = "moving-squares"

    def __init__(self, config: DataConfig, options: MovingSquaresConfig) -> None:
        if config.gap is not None:
            raise UserError("moving-squares has noise in its context alone: remove gap")
        self.options, self.task, self.stride = options, config.task, config.stride
        height, width = config.size or (SIDE, SIDE)
        self.frame_shape = (3 if config.color == "rgb" else 1, height, width)

    def count(self, split: Split) -> int:
        """Return the number of fixed clips."""
        return {
            "train": self.options.train_clips,
            "val": self.options.val_clips,
            "test": self.options.test_clips,
        }[split]

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` as one uint8 batch with both extras; the same index always gives the same clip."""
        check_indices(self, split, indices)
        length, (channels, *size) = (self.task.length - 1) * self.stride + 1, self.frame_shape
        drawn = [self._clip(split, int(index), length, size) for index in indices]
        noisy, clean = (
            torch.from_numpy(np.stack(frames)[:, :: self.stride, None]).expand(-1, -1, channels, -1, -1).contiguous()
            for frames in zip(*drawn, strict=True)
        )
        context = self.task.context
        given, asked = as_uint8(noisy[:, :context]), as_uint8(clean[:, context:])
        return Clip(given, asked, extras={NOISY: noisy, CLEAN: clean})

    def _clip(self, split: Split, index: int, length: int, size: list[int]) -> tuple[Frames, Frames]:
        """Return the noisy and the clean frames (T, H, W) of a clip."""
        random = numpy_generator(self.name, self.options.seed, split, index)
        wide = [side + 2 * MARGIN + 2 * length for side in size]  # nothing is drawn beyond it
        noisy, clean = np.zeros((2, length, *wide), np.float32)
        for _ in range(random.integers(FEWEST, MOST + 1)):
            start = np.array([random.integers(MARGIN, MARGIN + side) + length for side in size])
            step, half = random.integers(-1, 2, 2), int(random.choice(HALF))
            signs = np.where(random.random(length) < 0.5, random.choice((-1, 1), length), 0)
            for time in range(length):
                y, x = start + step * time
                noisy[time, y - half : y + half, x - half : x + half] += 1
                around = noisy[time, y - half - 1 : y + half + 1, x - half - 1 : x + half + 1]
                around += NOISE * signs[time]
                clean[time, y - half : y + half, x - half : x + half] = 1
        first = MARGIN + length
        shown = np.s_[:, first : first + size[0], first : first + size[1]]
        return np.minimum(noisy[shown], 1), clean[shown]
