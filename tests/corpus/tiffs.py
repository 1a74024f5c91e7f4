"""TIFF: depths, compressions, layouts, byte orders and pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from corpus.case import EXACT, FINE, Case, Frames, Near, in_grey, scene
from corpus.stills import BITS, DEEP, DEEP_RGB, FEW, GREY, RGB, TURNS

DEEP_STACK = in_grey(scene())[..., 0].astype(np.uint16) * 256 + DEEP[..., 0] % 256
FLOATS = (GREY[..., 0] / 255).astype(np.float32)
STORED: dict[str, tuple[NDArray[Any], Frames]] = {
    "grey": (GREY[..., 0], GREY[None]),
    "grey, 16 bits": (DEEP[..., 0], GREY[None]),
    "RGB": (RGB, RGB[None]),
    "RGB, 16 bits": (DEEP_RGB, RGB[None]),
    "floats": (FLOATS, GREY[None]),
    "6 pages, grey": (in_grey(scene())[..., 0], in_grey(scene())),
    "6 pages, grey, 16 bits": (DEEP_STACK, in_grey(scene())),
    "6 pages, RGB": (scene(), scene()),
}
# name, what is stored, options of tifffile; these are exactly what was written
WRITTEN: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("grey.tif", "grey", {}),
    ("grey-16.tif", "grey, 16 bits", {}),
    ("rgb.tif", "RGB", {"photometric": "rgb"}),
    ("rgb-16.tif", "RGB, 16 bits", {"photometric": "rgb"}),
    ("deflate.tif", "RGB", {"photometric": "rgb", "compression": "zlib"}),
    ("big-endian.tif", "grey, 16 bits", {"byteorder": ">"}),
    ("big-endian-rgb.tif", "RGB", {"byteorder": ">", "photometric": "rgb"}),
    ("tiles.tif", "RGB", {"photometric": "rgb", "tile": (16, 32)}),
    ("strips.tif", "RGB", {"photometric": "rgb", "rowsperstrip": 7}),
    ("bigtiff.tif", "grey, 16 bits", {"bigtiff": True}),
    ("bigtiff-big-endian.tif", "grey, 16 bits", {"bigtiff": True, "byteorder": ">"}),
    ("floats.tif", "floats", {}),
    ("pages.tif", "6 pages, grey", {"photometric": "minisblack"}),
    ("pages-16.tif", "6 pages, grey, 16 bits", {"photometric": "minisblack"}),
    ("pages-rgb.tif", "6 pages, RGB", {"photometric": "rgb"}),
    ("pages-big-endian.tif", "6 pages, grey, 16 bits", {"photometric": "minisblack", "byteorder": ">"}),
    ("pages-bigtiff.tif", "6 pages, grey", {"photometric": "minisblack", "bigtiff": True}),
    ("pages-bigtiff-big-endian.tif", "6 pages, grey", {"photometric": "minisblack", "bigtiff": True, "byteorder": ">"}),
    ("pages-deflate.tif", "6 pages, RGB", {"photometric": "rgb", "compression": "zlib"}),
    ("imagej.tif", "6 pages, grey, 16 bits", {"imagej": True}),
)
# name, what is stored, Pillow's compression, difference from what was written
PACKED: tuple[tuple[str, str, Any, str, Near], ...] = (
    ("lzw.tif", "RGB", RGB, "tiff_lzw", EXACT),
    ("packbits.tif", "RGB", RGB, "packbits", EXACT),
    ("jpeg.tif", "RGB", RGB, "jpeg", FINE),
    ("group4.tif", "1 bit", BITS, "group4", EXACT),
    ("palette.tif", "palette of 16", FEW, "tiff_lzw", EXACT),
)


def another(path: Path) -> Frames:
    """Read a TIFF with tifffile: 16 bits are cut to 8, floats are from 0 to 1."""
    values = tifffile.imread(path)
    if values.dtype.kind == "f":
        values = np.rint(values * 255).astype(np.uint8)
    values = (values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values
    values = values if values.shape[-1] == 3 else values[..., None]
    return values if values.ndim == 4 else values[None]


def opencv(path: Path) -> Frames:
    """Read a compressed TIFF with OpenCV."""
    return cv2.imread(str(path))[None, ..., ::-1]


def opencv_grey(path: Path) -> Frames:
    """Read a compressed grey TIFF with OpenCV."""
    return opencv(path)[..., :1]


def _written(row: tuple[str, str, dict[str, Any]]) -> Case:
    name, what, options = row
    stored, shown = STORED[what]

    def make(path: Path) -> Frames:
        tifffile.imwrite(path, stored, **options)
        return shown

    more = "".join(f", {key} {value}" for key, value in options.items() if key != "photometric")
    reading = {"range": (0, 1)} if what == "floats" else {}
    says = "6 pages are read as frames" if len(shown) > 1 else ""
    words = what + more.replace(" True", "") + (", with range=[0,1]" if reading else "")
    return Case(name, words, make, another, says=says, options=reading, quick=name == "pages-16.tif")


def _packed(row: tuple[str, str, Any, str, Near]) -> Case:
    name, what, stored, compression, near = row

    def make(path: Path) -> Frames:
        if what == "1 bit":
            Image.fromarray(stored[..., 0]).convert("1").save(path, compression=compression)
            return stored[None]
        image = stored if isinstance(stored, Image.Image) else Image.fromarray(stored)
        image.save(path, compression=compression)
        return np.asarray(image.convert("RGB"))[None]

    second = opencv_grey if what == "1 bit" else opencv
    return Case(name, f"{what}, {compression}", make, second, near, EXACT)


def _turned(orientation: int) -> Case:
    def make(path: Path) -> Frames:
        Image.fromarray(RGB).save(path, tiffinfo={274: orientation})
        return TURNS[orientation](RGB)[None]

    def second(path: Path) -> Frames:
        return TURNS[orientation](tifffile.imread(path))[None]

    return Case(f"orientation-{orientation}.tif", f"RGB, orientation {orientation}", make, second)


def _separate(path: Path) -> Frames:
    tifffile.imwrite(path, RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")
    return RGB[None]


def _read_separate(path: Path) -> Frames:
    return tifffile.imread(path).transpose(1, 2, 0)[None]


CASES = [
    *map(_written, WRITTEN),
    *map(_packed, PACKED),
    *map(_turned, TURNS),
    Case("separate.tif", "RGB, a plane for each colour", _separate, _read_separate),
]
