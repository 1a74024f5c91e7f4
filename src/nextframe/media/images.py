"""Still images: one image file, or a folder of numbered ones, as frames."""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, ImageOps, UnidentifiedImageError
from PIL import Image as Pillow

from nextframe.core.errors import BadInputError
from nextframe.media.limits import Limits
from nextframe.media.names import (
    IMAGE_ENDINGS,
    gaps,
    is_image_name,
    is_pattern,
    matching,
    natural_key,
    order_told,
    series_of,
)
from nextframe.media.reading import DEFAULT, OPTION, Levels, Reading, setting
from nextframe.media.source import Color, Image, Source, over_black
from nextframe.media.tiff import directory
from nextframe.media.tiff.big_endian import decode_page, is_big_endian

# What Pillow raises on damaged files: it passes on the errors of its parsers.
PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, RuntimeError,
    OverflowError, AssertionError, struct.error, zlib.error, Pillow.DecompressionBombError, Warning,
)  # fmt: skip
GREY_MODES = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
PNG_COLOR, PNG_PALETTE = 2, 3  # of a PNG's colour type: the bit for colour, and the type with a palette
PLANES, SEPARATE = 284, 2  # a TIFF's tag for where colours are, and its value if they are planes of their own
DEEP_COLORS = re.compile(r"(RGB|CMYK)[AX]*;16")  # in the raw mode that Pillow unpacks into 8 bits


def image_files(path: Path, order: Literal["numbers", "decimals"] | None = None) -> list[Path]:
    """Return the images directly in a folder, or those of a pattern, in natural order; hidden files are skipped."""
    folder, names = image_names(path, order)
    return [folder / name for name in names]


def image_names(path: Path, order: Literal["numbers", "decimals"] | None = None) -> tuple[Path, list[str]]:
    """Return the folder and the names of `image_files`."""
    folder = path.parent if is_pattern(path) else path
    with os.scandir(folder) as entries:  # says what is a file without another call for each
        names = [e.name for e in entries if is_image_name(e.name) and not e.name.startswith(".") and e.is_file()]
    names = matching(path.name, names) if is_pattern(path) else names
    decimals = (order or order_told(names)) == "decimals"
    return folder, sorted(names, key=lambda name: natural_key(name, decimals))


def open_image(path: Path) -> Pillow.Image:
    """Return the image, not yet decoded; raises what Pillow raises."""
    if path.suffix.lower() in (".tif", ".tiff") and is_big_endian(path):
        return decode_page(path)
    opened = Pillow.open(path)
    if opened.format == "TIFF":
        opened.filename = ""  # given a name, Pillow maps the file, and then misreads one that is rotated
    if opened.format == "PPM" and opened.mode == "I":  # Pillow scales what the file calls white to 65535
        return Pillow.fromarray(np.asarray(opened).astype(np.uint16))
    return opened


def check_depth(image: Pillow.Image, levels: Levels) -> None:
    """Refuse with a ValueError what Pillow would read wrongly, and tell `levels` of 16-bit colours; not yet decoded."""
    deep = DEEP_COLORS.search(str(getattr(image, "tile", ""))) is not None
    levels.deep_colors = levels.deep_colors or deep
    if levels.ends is not None and deep:
        raise ValueError("a range is for grey images and arrays; save 16-bit colours as .npy")
    tags = getattr(image, "tag_v2", {})
    if tags.get(PLANES) == SEPARATE and max(tags.get(directory.BITS, (1,))) > 8:
        raise ValueError("it has a plane of 16 bits for each colour; save it with the colours side by side")


def upright(image: Pillow.Image) -> Pillow.Image:
    """Return the image turned as its orientation says; itself, not a copy, if it needs no turn."""
    image.load()  # before the orientation is read: a TIFF is rotated here, and a PNG's may come after its pixels
    turned = image.getexif().get(ExifTags.Base.Orientation, 1) != 1
    return ImageOps.exif_transpose(image) if turned else image


def pixels(image: Pillow.Image, grey: bool, levels: Levels) -> Image:
    """Return the current frame of a Pillow image as uint8 (H, W, 1 or 3): 16 bits scaled to 8, alpha over black.

    `levels` says which values are black and white, or, at their default, is told of the values.
    """
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        return _channels(_deep(image, levels)[..., None], grey)
    if image.has_transparency_data:
        mixed = np.asarray(image.convert("LA" if grey else "RGBA"))
        levels.see_alpha(mixed[..., -1])
        return over_black(mixed)
    values = np.asarray(image.convert("L" if grey else "RGB"))
    levels.see(values, 255)
    return _channels(values if levels.ends is None else levels.scaled(values), grey)


def _deep(image: Pillow.Image, levels: Levels) -> NDArray[np.uint8]:
    """Return grey pixels of more than 8 bits as uint8 (H, W)."""
    if image.mode in ("I", "F") and levels.ends is None:
        what = f"pixels of Pillow's mode {image.mode} have no fixed range"
        raise ValueError(f"{what}: save it with 8 bits a channel, or {setting('range', '[LOW,HIGH]')}")
    values = np.asarray(image)
    levels.see(values, 65535)
    return (values.astype(np.uint16) >> 8).astype(np.uint8) if levels.ends is None else levels.scaled(values)


def _channels(image: Image, grey: bool) -> Image:
    image = image.reshape(*image.shape[:2], -1)
    return np.repeat(image, 3, axis=2) if image.shape[2] == 1 and not grey else image


def is_grey(image: Pillow.Image) -> bool:
    """Return whether the image has no colour: a grey mode, or a palette of greys."""
    if image.mode == "P":
        palette = np.frombuffer(bytes(image.palette.getdata()[1]), np.uint8) if image.palette else np.zeros(0)
        mode = image.palette.mode if image.palette else "RGB"
        colors = palette[: len(palette) // len(mode) * len(mode)].reshape(-1, len(mode))
        return bool((colors[:, :1] == colors[:, :3]).all())
    return image.mode in GREY_MODES


def has_color(path: Path) -> bool:
    """Return whether the image at `path` has colour, from its header; False if it cannot be opened."""
    with path.open("rb") as file:
        head = file.read(26)
    if head.startswith(b"\x89PNG") and len(head) == 26 and head[25] != PNG_PALETTE:
        return bool(head[25] & PNG_COLOR)  # a folder may have very many
    try:
        with open_image(path) as opened:
            return not is_grey(opened)
    except PILLOW_ERRORS:
        return False


def read_image(file: Path, limits: Limits, grey: bool = False, levels: Levels | None = None) -> tuple[Image, bool]:
    """Return an image file as uint8 (H, W, 3), upright, and whether it has no colour; `grey`: as (H, W, 1).

    `levels` says which values are black and white, or is told of the values.

    Raises:
        BadInputError: it is not an image, is damaged, or has more pixels than `limits` allow.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            with open_image(file) as opened:
                limits.check_size(file, opened.height, opened.width)
                levels = levels or Levels(None)
                check_depth(opened, levels)
                if opened.format != "TIFF":  # whose pages are told of elsewhere
                    levels.stills = max(levels.stills, getattr(opened, "n_frames", 1))
                colourless = is_grey(opened)
                return pixels(upright(opened), grey, levels), colourless
    except UnidentifiedImageError:
        raise BadInputError(file, "not a readable image") from None
    except BadInputError:
        raise
    except PILLOW_ERRORS as error:
        raise BadInputError(file, f"the image is damaged ({one_line(error)})") from None


class ImageFolder(Source):
    """A folder of images, in natural order, or a single image file: one frame each."""

    kind = "frames"

    def __init__(
        self, path: Path, stride: int, color: Color | None, limits: Limits, reading: Reading = DEFAULT
    ) -> None:
        super().__init__(path, stride, color, limits, reading)
        several = path.is_dir() or is_pattern(path)
        self.folder, self.names = image_names(path, reading.order) if several else (path.parent, [path.name])
        if not self.names:
            raise BadInputError(path, "the folder has no images", f"frames end in {', '.join(IMAGE_ENDINGS)}")
        self.kind = "frames" if several else "image"
        self._look_at_names()
        self.check_count(len(self.names) - 1)
        self.native_count = len(self.names)
        self.native_channels = 3
        first, grey = self._read(0)
        self.native_channels = 1 if grey and color != "rgb" and self._all_grey() else 3
        self.height, self.width = first.shape[:2]
        if several:
            self.notes.append("images have no frame rate: 10 frames/s is assumed")

    def _look_at_names(self) -> None:
        """Say what is told by the names; refuse a folder of several series, which are a source each."""
        names = self.names
        series = series_of(names) if self.path.is_dir() and self.reading.series == "apart" else {}
        if series:
            what = f"it holds {len(series)} series of images ({', '.join(list(series)[:4])})"
            raise BadInputError(
                self.path, what, f"give one, as {self.path / next(iter(series))}, or {setting('series', 'together')}"
            )
        if is_pattern(self.path):
            self.notes.append(f"one of several series of images in its folder (other: {OPTION}.series=together)")
        if self.reading.order is None and (order := order_told(names)):
            what, other = ("decimals", "numbers") if order == "decimals" else ("numbers with points", "decimals")
            self.notes.append(f"its names have {what} and are in their order (other: {OPTION}.order={other})")
        self.notes += filter(None, [gaps(names)])

    def _all_grey(self) -> bool:
        """Return whether no image after the first has colour; what cannot be opened is an error when it is reached."""
        if self.color == "grey":  # what has colour loses it in any case
            return True
        return not any(has_color(self.folder / name) for name in self.names[1:])

    def _read(self, number: int) -> tuple[Image, bool]:
        return read_image(self.folder / self.names[number], self.limits, self.native_channels == 1, self.levels)

    def decode(self, start: int = 0) -> Generator[Image, None, None]:
        """Yield every image from number `start` as uint8 (H, W, C); refuses another size than the first's."""
        for number in range(start, len(self.names)):
            image, _ = self._read(number)
            if image.shape[:2] != (self.height, self.width):
                size = f"{image.shape[1]}x{image.shape[0]}"
                raise BadInputError(
                    self.path,
                    f"sizes are mixed: {self.names[0]} is {self.width}x{self.height}, {self.names[number]} is {size}",
                    "all frames of a folder must have one size",
                )
            yield image


def one_line(error: BaseException) -> str:
    """Return an error's message as one short line, without the path that libraries add."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Pillow.DecompressionBombError | Pillow.DecompressionBombWarning):
        text = text.split(", could be")[0]
    return text if len(text) <= 120 else text[:117] + "..."
