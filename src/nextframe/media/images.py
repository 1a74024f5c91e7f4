"""Still images: one image file, or a folder of numbered ones, as frames."""

from __future__ import annotations

import re
import struct
import warnings
import zlib
from collections.abc import Generator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps, UnidentifiedImageError

from nextframe.core.errors import BadInputError
from nextframe.media.limits import Limits
from nextframe.media.source import Color, Image, Source, over_black

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif")

# What Pillow raises on damaged files: it passes on the errors of its parsers.
PILLOW_ERRORS = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, AttributeError, RuntimeError,
    OverflowError, AssertionError, struct.error, zlib.error, Pillow.DecompressionBombError, Warning,
)  # fmt: skip
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")


def natural_key(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """Return a sort key that puts 2 before 10 and ignores case."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(0, int(p), "") if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts], name


def image_files(folder: Path) -> list[Path]:
    """Return the images directly in `folder`, in natural order; hidden files are skipped."""
    found = [f for f in folder.iterdir() if f.suffix.lower() in IMAGE_ENDINGS and not f.name.startswith(".")]
    return sorted((f for f in found if f.is_file()), key=lambda f: natural_key(f.name))


def open_image(path: Path) -> Pillow.Image:
    """Return the image, not yet decoded; raises what Pillow raises."""
    opened = Pillow.open(path)
    if opened.format == "TIFF":
        opened.filename = ""  # given a name, Pillow maps the file, and then misreads one that is rotated
    return opened


def pixels(image: Pillow.Image, grey: bool) -> Image:
    """Return the current frame of a Pillow image as uint8 (H, W, 1 or 3): 16 bits scaled to 8, alpha over black."""
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint16) >> 8
        return _channels(deep.astype(np.uint8)[..., None], grey)
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of Pillow's mode {image.mode} have no fixed range; save it with 8 bits a channel")
    if image.has_transparency_data:
        return over_black(np.asarray(image.convert("LA" if grey else "RGBA")))
    return _channels(np.asarray(image.convert("L" if grey else "RGB")), grey)


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


def read_image(file: Path, limits: Limits, grey: bool = False) -> tuple[Image, bool]:
    """Return an image file as uint8 (H, W, 3), upright, and whether it has no colour; `grey`: as (H, W, 1).

    Raises:
        BadInputError: it is not an image, is damaged, or has more pixels than `limits` allow.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Pillow.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)
            with open_image(file) as opened:
                limits.check_size(file, opened.height, opened.width)
                colourless = is_grey(opened)
                return pixels(ImageOps.exif_transpose(opened), grey), colourless
    except UnidentifiedImageError:
        raise BadInputError(file, "not a readable image") from None
    except BadInputError:
        raise
    except PILLOW_ERRORS as error:
        raise BadInputError(file, f"the image is damaged ({one_line(error)})") from None


class ImageFolder(Source):
    """A folder of images, in natural order, or a single image file: one frame each."""

    kind = "frames"

    def __init__(self, path: Path, stride: int, color: Color | None, limits: Limits) -> None:
        super().__init__(path, stride, color, limits)
        self.files = image_files(path) if path.is_dir() else [path]
        if not self.files:
            raise BadInputError(path, "the folder has no images", f"frames end in {', '.join(IMAGE_ENDINGS)}")
        self.kind = "frames" if path.is_dir() else "image"
        self.check_count(len(self.files) - 1)
        self.native_count = len(self.files)
        self.native_channels = 3
        first, grey = self._read(0)
        self.native_channels = 1 if grey and color != "rgb" else 3
        self.height, self.width = first.shape[:2]
        if path.is_dir():
            self.notes.append("images have no frame rate: 10 frames/s is assumed")

    def _read(self, number: int) -> tuple[Image, bool]:
        return read_image(self.files[number], self.limits, self.native_channels == 1)

    def decode(self, start: int = 0) -> Generator[Image, None, None]:
        """Yield every image from number `start` as uint8 (H, W, C); refuses another size or colour than the first's."""
        for number in range(start, len(self.files)):
            image, grey = self._read(number)
            if image.shape[:2] != (self.height, self.width):
                size = f"{image.shape[1]}x{image.shape[0]}"
                raise BadInputError(
                    self.path,
                    f"sizes are mixed: {self.files[0].name} is {self.width}x{self.height}, "
                    f"{self.files[number].name} is {size}",
                    "all frames of a folder must have one size",
                )
            if self.native_channels == 1 and not grey and self.color is None:
                what = f"grey and colour are mixed: {self.files[number].name} has colour"
                raise BadInputError(self.path, what, "ask for one: color grey or rgb")
            yield image


def one_line(error: BaseException) -> str:
    """Return an error's message as one short line, without the path that libraries add."""
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, Pillow.DecompressionBombError | Pillow.DecompressionBombWarning):
        text = text.split(", could be")[0]
    return text if len(text) <= 120 else text[:117] + "..."
