"""The test clips of Mathieu, Couprie & LeCun (ICLR 2016), with the areas that they say move, from a local copy.

379 clips of UCF-101, every tenth of its test list 01: four frames of 240x320 and the two that follow. An image of
optical flow stands beside the last frame before each: pixels where it is coloured move.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.core.errors import BadInputError, UserError
from nextframe.data.clipset import MOVING_AREAS, ClipSet, DataConfig, Indices, Split, check_indices
from nextframe.data.sets.local import FACTS, LocalConfig, opened
from nextframe.media.images import read_image
from nextframe.media.limits import Limits
from nextframe.media.names import natural_key

NAME, FOLDER = "ucf101-mathieu", "UCF101frm10p"
GIVEN, ASKED = [f"pred_{number}.png" for number in (1, 2, 3, 4)], ["target_1.png", "target_2.png"]
FLOWS = ["pred_4_flow.png", "target_1_flow.png"]  # from the frame before each of ASKED
PALE = 0.2  # where every colour of a flow image is at least this light, nothing moves


class MathieuTestConfig(LocalConfig):
    """Options of the authors' test clips: their folder alone."""

    FIXED: ClassVar[tuple[str, ...]] = ("val_share", "test_share", "clip_step", "eval_step")


def open_mathieu_test(config: DataConfig) -> MathieuTest:
    """Return the authors' clips; options are those of `MathieuTestConfig`.

    Raises:
        UserError: no copy, one of another layout, or a request for other frames than they have.
    """
    _, root = opened(NAME, config, MathieuTestConfig)
    return MathieuTest(config, root / FOLDER if (root / FOLDER).is_dir() else root)


class MathieuTest(ClipSet):
    """Test clips with the extra `moving_areas` (B, T, 1, H, W) bool; there are no others."""

    name = NAME
    fps = 25.0

    def __init__(self, config: DataConfig, root: Path) -> None:
        if config.gap is not None or config.stride > 1 or config.task.context > 4 or config.task.horizon > 2:
            raise UserError(f"{NAME} has 4 frames and the 2 that follow: give --context 4 --horizon 2, or less")
        self.task, self.grey = config.task, config.color == "grey"
        self.folders = sorted((f.parent for f in root.glob(f"*/{GIVEN[0]}")), key=lambda f: natural_key(f.name))
        if not self.folders:
            raise BadInputError(root, "it has no folders of clips", f"lay it out as {FACTS[NAME].layout}")
        channels, height, width = self._frame(self.folders[0] / GIVEN[0], self.grey).shape
        if config.size not in (None, (height, width)):
            raise UserError(f"{NAME} is measured at its own size: give --size {height}x{width}")
        self.frame_shape = (channels, height, width)

    def count(self, split: Split) -> int:
        """Return how many clips `split` has: all are of test."""
        return len(self.folders) if split == "test" else 0

    def source(self, split: Split, index: int) -> str:
        """Return the number of a clip's video, which its folder is named by."""
        return self.folders[index].name

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` as one uint8 batch with their moving areas: the last frames before the targets.

        Raises:
            BadInputError: an image that is missing, or of another size.
        """
        check_indices(self, split, indices)
        context, horizon = self.task.context, self.task.horizon
        names = [*GIVEN[-context:], *ASKED[:horizon]]
        frames = torch.stack([self._frames(self.folders[i], names, self.grey) for i in indices])
        flows = torch.stack([self._frames(self.folders[i], FLOWS[:horizon], grey=False) for i in indices])
        moving = (flows < round(PALE * 255)).any(dim=2, keepdim=True)
        return Clip(frames[:, :context], frames[:, context:], extras={MOVING_AREAS: moving})

    def _frames(self, folder: Path, names: list[str], grey: bool) -> Tensor:
        return torch.stack([self._sized(folder / name, grey) for name in names])

    def _sized(self, file: Path, grey: bool) -> Tensor:
        frame = self._frame(file, grey)
        if frame.shape[1:] != self.frame_shape[1:]:
            sizes = [f"{h}x{w}" for h, w in (frame.shape[1:], self.frame_shape[1:])]
            raise BadInputError(file, f"it is {sizes[0]} and other frames are {sizes[1]}", "unpack the archive again")
        return frame

    @staticmethod
    def _frame(file: Path, grey: bool) -> Tensor:
        if not file.is_file():
            raise BadInputError(file, "the image is missing", f"lay it out as {FACTS[NAME].layout}")
        return torch.from_numpy(np.ascontiguousarray(read_image(file, Limits(), grey)[0].transpose(2, 0, 1)))
