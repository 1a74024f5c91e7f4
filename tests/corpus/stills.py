"""Still images, and folders of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from corpus.case import (
    EXACT,
    FINE,
    HEIGHT,
    ROUNDED,
    WIDTH,
    Case,
    Frames,
    Near,
    in_grey,
    over_black,
    scene,
    veil,
)

RGB, GREY, ALPHA = scene(1)[0], in_grey(scene(1))[0], veil(1)[0]
FINE_STEPS = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1) * 37 % 256  # the lower 8 bits of 16
DEEP = GREY.astype(np.uint16) * 256 + FINE_STEPS.astype(np.uint16)
DEEP_RGB = RGB.astype(np.uint16) * 256 + FINE_STEPS.astype(np.uint16)
BITS = np.where(GREY > 127, 255, 0).astype(np.uint8)
FEW = Image.fromarray(RGB).quantize(16)
MANY = Image.fromarray(RGB).quantize(256)
# what is stored: the array that is given to the writer, and what must be shown
PICTURES: dict[str, tuple[Any, NDArray[np.uint8]]] = {
    "RGB": (RGB, RGB),
    "grey": (GREY[..., 0], GREY),
    "RGBA over black": (np.concatenate([RGB, ALPHA], -1), over_black(np.concatenate([RGB, ALPHA], -1))),
    "grey with alpha over black": (np.concatenate([GREY, ALPHA], -1), over_black(np.concatenate([GREY, ALPHA], -1))),
    "1 bit": (Image.fromarray(BITS[..., 0]).convert("1"), BITS),
    "palette of 16": (FEW, np.asarray(FEW.convert("RGB"))),
    "palette of 256": (MANY, np.asarray(MANY.convert("RGB"))),
    "grey, 16 bits": (DEEP[..., 0], GREY),
    "RGB, 16 bits": (DEEP_RGB, RGB),
    "CMYK": (Image.fromarray(RGB).convert("CMYK"), RGB),
}
# name, picture, options of the writer (OpenCV of RGB with 16 bits, else Pillow), difference from what was written, and
# from OpenCV's reading
STILLS: tuple[tuple[str, str, dict[str, Any], Near, Near], ...] = (
    ("rgb.png", "RGB", {}, EXACT, EXACT),
    ("grey.png", "grey", {}, EXACT, EXACT),
    ("rgba.png", "RGBA over black", {}, EXACT, ROUNDED),
    ("la.png", "grey with alpha over black", {}, EXACT, ROUNDED),
    ("bits.png", "1 bit", {}, EXACT, EXACT),
    ("palette-16.png", "palette of 16", {"bits": 4}, EXACT, EXACT),
    ("palette-256.png", "palette of 256", {}, EXACT, EXACT),
    ("grey-16.png", "grey, 16 bits", {}, EXACT, EXACT),
    ("rgb-16.png", "RGB, 16 bits", {}, EXACT, EXACT),
    ("444.jpg", "RGB", {"quality": 95, "subsampling": "4:4:4"}, FINE, EXACT),
    ("420.jpg", "RGB", {"quality": 95, "subsampling": "4:2:0"}, FINE, EXACT),
    ("progressive.jpg", "RGB", {"quality": 95, "progressive": True}, FINE, EXACT),
    ("grey.jpg", "grey", {"quality": 95}, FINE, EXACT),
    ("cmyk.jpg", "CMYK", {"quality": 95}, FINE, FINE),
    ("rgb.bmp", "RGB", {}, EXACT, EXACT),
    ("grey.bmp", "grey", {}, EXACT, EXACT),
    ("bits.bmp", "1 bit", {}, EXACT, EXACT),
    ("palette.bmp", "palette of 16", {}, EXACT, EXACT),
    ("rgb.ppm", "RGB", {}, EXACT, EXACT),
    ("grey.pgm", "grey", {}, EXACT, EXACT),
    ("bits.pbm", "1 bit", {}, EXACT, EXACT),
    ("grey-16.pgm", "grey, 16 bits", {}, EXACT, EXACT),
    ("rgb-16.ppm", "RGB, 16 bits", {}, ROUNDED, ROUNDED),
    ("lossless.webp", "RGB", {"lossless": True}, EXACT, EXACT),
    ("alpha.webp", "RGBA over black", {"lossless": True, "exact": True}, EXACT, ROUNDED),
    ("lossy.webp", "RGB", {"quality": 90}, FINE, EXACT),
    ("444.avif", "RGB", {"quality": 100, "subsampling": "4:4:4"}, FINE, ROUNDED),
    ("grey.avif", "grey", {"quality": 100}, FINE, ROUNDED),
)
QUICK = {"rgb.png", "grey-16.png", "420.jpg", "bits.pbm"}
# what EXIF's orientation does with the stored image: TIFF 6.0, tag 274
TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.rot90(image, 2).transpose(1, 0, 2),
    8: np.rot90,
}
# name of the folder, the names of its images in their order, and how many are grey
FOLDERS = (
    ("counted", [f"{n}.png" for n in (1, 2, 9, 10, 11, 100)], 0, ""),
    ("padded", [f"frame_{n:04}.bmp" for n in range(6)], 0, ""),
    ("kinds", ["a0.png", "a1.bmp", "a2.ppm", "a3.webp", "a4.tif", "a5.png"], 0, ""),
    ("fade-in", [f"{n}.png" for n in range(6)], 2, ""),
    ("all-grey", [f"{n}.png" for n in range(6)], 6, ""),
    ("decimals", [f"t={n}.png" for n in ("0.05", "0.5", "1.05", "1.5", "2.5", "10.25")], 0, "decimals"),
    ("missing", [f"{n}.png" for n in (0, 1, 2, 3, 8, 9)], 0, "jump once from 3 to 8"),
)


def opencv(path: Path) -> Frames:
    """Read an image with OpenCV: 16 bits are cut to 8 and alpha is composed here."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
    image = (image >> 8).astype(np.uint8) if image.dtype == np.uint16 else image
    image = image.reshape(*image.shape[:2], -1)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}
    return over_black(image[..., order[image.shape[2]]])[None]


def opencv_grey(path: Path) -> Frames:
    """Read an image whose channels are equal."""
    return opencv(path)[..., :1]


def upright(path: Path) -> Frames:
    """Read an image with OpenCV, which turns it as EXIF says."""
    return cv2.imread(str(path))[None, ..., ::-1]


def _still(row: tuple[str, str, dict[str, Any], Near, Near]) -> Case:
    name, what, options, near, second_near = row
    stored, shown = PICTURES[what]

    def make(path: Path) -> Frames:
        if ("16 bits" in what and not name.endswith(".png")) or what == "RGB, 16 bits":
            cv2.imwrite(str(path), stored[..., ::-1] if stored.ndim == 3 else stored)
        else:
            (stored if isinstance(stored, Image.Image) else Image.fromarray(stored)).save(path, **options)
        return shown[None]

    more = "".join(f", {key} {value}" for key, value in options.items() if key not in ("exact", "bits"))
    second = opencv_grey if shown.shape[-1] == 1 else opencv
    return Case(name, what + more.replace(" True", ""), make, second, near, second_near, quick=name in QUICK)


def _turned(orientation: int, ending: str) -> Case:
    def make(path: Path) -> Frames:
        exif = Image.Exif()
        exif[274] = orientation
        options = {"jpg": {"quality": 95, "subsampling": "4:4:4"}, "webp": {"lossless": True}}.get(ending, {})
        Image.fromarray(RGB).save(path, exif=exif, **options)
        return TURNS[orientation](RGB)[None]

    name, near = f"orientation-{orientation}.{ending}", FINE if ending == "jpg" else EXACT
    return Case(name, f"RGB, EXIF orientation {orientation}", make, upright, near)


def _in_two_parts(path: Path) -> Frames:
    images = [Image.fromarray(RGB), Image.fromarray(RGB[::-1].copy())]
    images[0].save(path, "MPO", save_all=True, append_images=images[1:], quality=95, subsampling="4:4:4")
    return RGB[None]


def _in_words(path: Path) -> Frames:
    path.write_text(f"P3\n{WIDTH} {HEIGHT}\n255\n" + "\n".join(map(str, RGB.ravel())) + "\n")
    return RGB[None]


def _folder(row: tuple[str, list[str], int, str]) -> Case:
    name, files, greys, says = row

    def make(path: Path) -> Frames:
        path.mkdir()
        frames = [in_grey(frame[None])[0] if n < greys else frame for n, frame in enumerate(scene())]
        for file, frame in zip(files, frames, strict=True):
            options: dict[str, Any] = {"lossless": True} if file.endswith("webp") else {}
            Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).save(path / file, **options)
        return np.stack(frames) if greys == 6 else np.stack([np.broadcast_to(frame, RGB.shape) for frame in frames])

    def second(path: Path) -> Frames:
        read = [cv2.imread(str(path / file)) for file in files]
        return np.stack(read)[..., ::-1][..., : 1 if greys == 6 else 3]

    words = f", {greys} grey" if greys else ""
    return Case(name, f"{', '.join(files)}{words}", make, second, says=says, quick=name == "counted")


IMAGES = [
    *map(_still, STILLS),
    *(_turned(orientation, ending) for ending in ("jpg", "png", "webp") for orientation in TURNS),
    Case("two-parts.jpg", "MPO: one photograph and a copy of it", _in_two_parts, opencv, FINE),
    Case("words.ppm", "RGB, as text", _in_words, opencv),
]
FOLDER_CASES = list(map(_folder, FOLDERS))
