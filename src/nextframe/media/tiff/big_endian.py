"""BigTIFF in big-endian order, which Pillow does not know: its pages are decoded by OpenCV."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image as Pillow

MAGIC = b"MM\0+"


def is_big_endian(path: Path) -> bool:
    """Return whether the file at `path` is such a BigTIFF."""
    with path.open("rb") as file:
        return file.read(4) == MAGIC


def decode_page(path: Path, page: int = 0) -> Pillow.Image:
    """Return a page as an image of Pillow's, 16-bit colours scaled to 8 bits as Pillow does.

    Raises:
        ValueError: the page cannot be decoded.
    """
    try:
        _, images = cv2.imreadmulti(str(path), start=page, count=1, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(str(error)) from None
    if not images:
        raise ValueError(f"page {page} cannot be decoded")
    image = np.asarray(images[0])
    if image.ndim == 2:
        return Pillow.fromarray(image)
    image = (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image
    turned = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)
    return Pillow.fromarray(np.asarray(turned, np.uint8))
