"""Files that are refused, and what is said of each."""

from __future__ import annotations

import io
import wave
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from corpus.stills import DEEP, DEEP_RGB, GREY, RGB
from corpus.tiffs import FLOATS

TWELVE_BITS = {"range": (0, 4095)}


@dataclass(frozen=True)
class Refusal:
    """`make` writes a file or folder that is refused with a line that holds `line`."""

    name: str
    what: str
    make: Callable[[Path], Any]
    line: str
    options: dict[str, Any] = field(default_factory=dict)  # of Reading


def _bytes(start: bytes) -> Callable[[Path], Any]:
    return lambda path: path.write_bytes(start + bytes(300))


def _array(values: Any) -> Callable[[Path], Any]:
    return lambda path: np.save(path, np.asarray(values), allow_pickle=True)


def _image(form: str) -> Callable[[Path], Any]:
    return lambda path: Image.fromarray(RGB).save(path, form)


def _two_arrays(path: Path) -> None:
    np.savez(path, a=np.zeros((6, 8, 8)), b=np.zeros((6, 8, 8)))


def _archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "no frames")


def _sound(path: Path) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(1600))


def _tiff(values: NDArray[Any]) -> Callable[[Path], Any]:
    return lambda path: tifffile.imwrite(path, values, photometric="rgb" if values.ndim == 3 else "minisblack")


def _planes(path: Path) -> None:
    tifffile.imwrite(path, DEEP_RGB.transpose(2, 0, 1), photometric="rgb", planarconfig="separate")


def _deep_png(path: Path) -> None:
    cv2.imwrite(str(path), DEEP_RGB)


def _mixed_sizes(path: Path) -> None:
    path.mkdir()
    for number, size in enumerate(((8, 8), (8, 9))):
        Image.new("L", size).save(path / f"{number}.png")


def _two_series(path: Path) -> None:
    path.mkdir()
    for name in ("a_0", "a_1", "b_0", "b_1"):
        Image.new("L", (8, 8)).save(path / f"{name}.png")


def _cut_image(path: Path) -> None:
    whole = io.BytesIO()
    Image.fromarray(RGB).save(whole, "PNG")
    path.write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])


REFUSED = (
    Refusal("empty.mp4", "nothing", lambda path: path.touch(), "the file is empty"),
    Refusal("text.mp4", "text", lambda path: path.write_text("no video " * 50), "cannot be opened as a video"),
    Refusal("pointer.mp4", "a Git LFS pointer", _bytes(b"version https://git-lfs"), "Git LFS pointer"),
    Refusal("packed.gz", "gzip", _bytes(b"\x1f\x8b"), "gzip archive"),
    Refusal("list.m3u8", "a playlist", _bytes(b"#EXTM3U\n"), "playlist"),
    Refusal("data.h5", "HDF5", _bytes(b"\x89HDF\r\n\x1a\n"), "HDF5 file"),
    Refusal("data.mat", "MATLAB", _bytes(b"MATLAB 5.0 MAT-file"), "MATLAB file"),
    Refusal("digits.idx", "idx images", _bytes(b"\0\0\x08\x03"), "idx file of single images"),
    Refusal("sound.wav", "sound", _sound, "it has no video stream (it has sound only)"),
    Refusal("photo.jp2", "JPEG 2000 image", _image("JPEG2000"), "cannot be opened as a video"),
    Refusal("icon.ico", "icon", _image("ICO"), "cannot be opened as a video"),
    Refusal("image.tga", "Targa image", _image("TGA"), "cannot be opened as a video"),
    Refusal("cut.png", "PNG, cut", _cut_image, "the image is damaged"),
    Refusal("floats.tif", "floats of 32 bits, no range", _tiff(FLOATS), "data.options.range"),
    Refusal("doubles.tif", "floats of 64 bits", _tiff(FLOATS.astype(float)), "of a kind that is not read"),
    Refusal("integers.tif", "RGB, 32 bits", _tiff(RGB.astype(np.uint32)), "of a kind that is not read"),
    Refusal("planes.tif", "RGB, 16 bits, a plane for each colour", _planes, "a plane of 16 bits for each colour"),
    Refusal("range.tif", "RGB, 16 bits, a range set", _tiff(DEEP_RGB), "a range is for grey images", TWELVE_BITS),
    Refusal("range.png", "RGB, 16 bits, a range set", _deep_png, "a range is for grey images", TWELVE_BITS),
    Refusal("matrix.npy", "2 axes", _array(GREY[..., 0]), "is not a video"),
    Refusal("complex.npy", "complex numbers", _array(np.zeros((6, 8, 8), complex)), "complex128 is not a video"),
    Refusal("objects.npy", "Python objects", _array([{}, {}]), "Python objects"),
    Refusal("deep.npy", "uint16 above 255, no range", _array([DEEP[..., 0]]), "must be in 0..255"),
    Refusal("floats.npy", "floats above 1, no range", _array([GREY[..., 0] / 9]), "must be in 0..1"),
    Refusal("nan.npy", "not a number", _array(np.full((2, 8, 8), np.nan)), "must be in 0..1"),
    Refusal("two.npz", "two arrays of frames", _two_arrays, "expected one array of frames"),
    Refusal("notes.zip", "an archive without arrays", _archive, "expected one array of frames"),
    Refusal("no-images", "a folder without images", lambda path: path.mkdir(), "the folder has no images"),
    Refusal("mixed-sizes", "images of two sizes", _mixed_sizes, "sizes are mixed"),
    Refusal("two-series", "a_0, a_1, b_0, b_1", _two_series, "it holds 2 series of images"),
)
