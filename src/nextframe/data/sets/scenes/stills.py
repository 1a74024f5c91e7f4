"""The photographs of scenes: of a folder, of a tensor, or scikit-learn's two; those of a split are in no other."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nextframe.core.errors import BadInputError, UserError
from nextframe.data.clipset import SPLITS, Split
from nextframe.data.folder.splits import split_by_name
from nextframe.media.images import image_files, read_image
from nextframe.media.limits import Limits

SIDE = 288  # of the squares that images are cut into
HELD_OUT = 0.1  # of the images, for val and for test
FEWEST = 3
PARTS: dict[Split, tuple[float, float]] = {"train": (0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1)}  # of the width

Stills = dict[Split, Tensor]  # (M, 3, S, S) uint8 each


def stills_of(given: str | Tensor | None) -> Stills:
    """Return the stills of each split, as squares.

    * a folder: each image, its shorter side scaled to `SIDE`, as squares side by side; split by a hash of its name
    * a tensor (M, 3, h, w) uint8: the middle square of each; the first 80 % train, then val, then test, so that
      neighbours, such as pieces of one photograph, stay together
    * None: scikit-learn's two sample photographs; a part of each for train, val and test

    Raises:
        UserError: no such folder, a file in it that cannot be read, fewer than three images, or a tensor that is not
            of colour images.
    """
    if given is None:
        return sample_stills()
    return stills_of_tensor(given) if isinstance(given, Tensor) else stills_of_folder(Path(given).expanduser())


def stills_of_folder(folder: Path) -> Stills:
    """Return the stills of the images directly in `folder`; errors as for `stills_of`."""
    if not folder.is_dir():
        raise BadInputError(folder, "there is no such folder of stills", "give a folder of images, or remove stills")
    files = image_files(folder)
    if len(files) < FEWEST:
        raise BadInputError(folder, f"{len(files)} images found", f"at least {FEWEST} are needed for three splits")
    splits = split_by_name({file.name: 1 for file in files}, HELD_OUT, HELD_OUT)
    found: dict[Split, list[NDArray[np.uint8]]] = {split: [] for split in SPLITS}
    for file in files:
        found[splits[file.name]] += squares(read_image(file, Limits())[0])
    return {split: stacked(found[split]) for split in SPLITS}


def stills_of_tensor(images: Tensor) -> Stills:
    """Return the stills of a tensor (M, 3, h, w); errors as for `stills_of`."""
    if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8 or len(images) < FEWEST:
        raise UserError(
            f"stills must be at least {FEWEST} images (M, 3, h, w) uint8, not {images.dtype} {tuple(images.shape)}"
        )
    side = min(images.shape[2:])
    top, left = (images.shape[2] - side) // 2, (images.shape[3] - side) // 2
    middle = images[:, :, top : top + side, left : left + side].cpu()
    held = max(1, round(len(images) * HELD_OUT))
    return dict(zip(SPLITS, torch.split(middle, [len(images) - 2 * held, held, held]), strict=True))


@cache
def sample_stills() -> Stills:
    """Return pieces of scikit-learn's photographs of a temple in China and of a flower (CC BY 2.0)."""
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    found = {}
    for split, (first, last) in PARTS.items():
        pieces = [image[:, int(first * image.shape[1]) : int(last * image.shape[1])] for image in photographs]
        found[split] = stacked([square for piece in pieces for square in squares(piece)])
    return found


def squares(image: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return an image (H, W, 3) as squares of `SIDE` from one end of its longer side to the other."""
    height, width = image.shape[:2]
    scale = SIDE / min(height, width)
    size = (max(SIDE, round(width * scale)), max(SIDE, round(height * scale)))  # x first
    scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    room = max(size) - SIDE
    starts = np.linspace(0, room, math.ceil(max(size) / SIDE)).round().astype(int) if room else [0]
    wide = size[0] > size[1]
    cut = (scaled[:, at : at + SIDE] if wide else scaled[at : at + SIDE] for at in starts)
    return [np.ascontiguousarray(part).astype(np.uint8) for part in cut]


def stacked(images: list[NDArray[np.uint8]]) -> Tensor:
    """Return images (S, S, 3) as (M, 3, S, S)."""
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).contiguous()


def resized(images: Tensor, side: int) -> Tensor:
    """Return images (M, 3, S, S) uint8 with another side."""
    if images.shape[-1] == side:
        return images
    scaled = F.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)
