"""Resizing and cropping frames of any size to one size."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import torch
from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.media.source import Image

Fit = Literal["crop", "pad", "random-crop"]


def check_size(size: tuple[int, int] | None) -> None:
    """Refuse a height and a width without pixels; None: frames keep their size.

    Raises:
        UserError: the line has both.
    """
    if size is not None and min(size) < 1:
        raise UserError(f"size must be a height and a width of at least 1, not {size}")


def fit_image(image: Image, size: tuple[int, int], fit: Fit, place: tuple[float, float] = (0.5, 0.5)) -> Image:
    """Return `image` (H, W, C) at `size` (height, width).

    crop: scale until it covers the size, cut equally at both ends; pad: scale until it fits in, black around it;
    random-crop: no scaling if it is large enough, cut at `place` (0..1 down and across), else scaled up to cover.
    Scaling down averages areas, scaling up is bilinear; the aspect ratio is kept.
    """
    if fit == "pad":
        return _pad(_scale(image, min(size[0] / image.shape[0], size[1] / image.shape[1]), size, inside=True), size)
    cover = max(size[0] / image.shape[0], size[1] / image.shape[1])
    if fit == "crop" or cover > 1:
        image = _scale(image, cover, size, inside=False)
    top, left = ((have - want) * p for have, want, p in zip(image.shape[:2], size, place, strict=True))
    top, left = int(top), int(left)
    return image[top : top + size[0], left : left + size[1]]


def _scale(image: Image, factor: float, size: tuple[int, int], inside: bool) -> Image:
    bound = min if inside else max
    height, width = (bound(max(1, round(n * factor)), want) for n, want in zip(image.shape[:2], size, strict=True))
    if (height, width) == image.shape[:2]:
        return image
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=way)
    return np.asarray(scaled, np.uint8).reshape(height, width, image.shape[2])


def _pad(image: Image, size: tuple[int, int]) -> Image:
    top, left = ((want - have) // 2 for want, have in zip(size, image.shape[:2], strict=True))
    padded = np.zeros((*size, image.shape[2]), np.uint8)
    padded[top : top + image.shape[0], left : left + image.shape[1]] = image
    return padded


def fit_frame(frame: Tensor, size: tuple[int, int], fit: Fit) -> Tensor:
    """Return one uint8 frame (C, H, W) at `size`, as `fit_image` does."""
    image = fit_image(frame.permute(1, 2, 0).numpy(), size, fit)
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def scaled_size(size: tuple[int, int], factor: float) -> tuple[int, int]:
    """Return (height, width) times `factor`, rounded, at least 1."""
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def scaled_frame(frame: Tensor, factor: float) -> Tensor:
    """Return one uint8 frame (C, H, W) at `factor` times its size; areas are averaged where it shrinks."""
    return fit_frame(frame, scaled_size((frame.shape[1], frame.shape[2]), factor), "crop")
