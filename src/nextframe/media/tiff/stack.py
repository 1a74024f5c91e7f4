"""A TIFF with many images as frames: pages, the one page of a large ImageJ stack, BigTIFF in both byte orders."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import chain, islice
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from nextframe.core.errors import BadInputError
from nextframe.media.animation import Animation
from nextframe.media.images import is_grey
from nextframe.media.limits import Limits
from nextframe.media.reading import OPTION, Reading
from nextframe.media.source import Color
from nextframe.media.tiff import directory
from nextframe.media.tiff.big_endian import decode_page, is_big_endian
from nextframe.media.tiff.directory import Directory, directories
from nextframe.media.timing import Timing

IMAGEJ_PAGES = re.compile(r"^images=(\d+)", re.MULTILINE)
IMAGEJ_AXES = re.compile(r"^(channels|slices|frames)=(\d+)", re.MULTILINE)
FORMS = {(8, 1): "u1", (16, 1): "u2", (32, 3): "f4"}  # NumPy's name by bits and sample format


def is_stack(path: Path) -> bool:
    """Return whether the TIFF at `path` holds more than one frame; False if its pages cannot be read."""
    try:
        pages = directories(path)
        first = next(pages)
        frames = (page for page in chain([first], pages) if page.is_frame)
        return imagej_count(first) > 1 or len(list(islice(frames, 2))) == 2
    except (OSError, ValueError, StopIteration):
        return False


def imagej_count(first: Directory) -> int:
    """Return how many images an ImageJ stack says that it has; 1 if ImageJ did not write the page."""
    found = IMAGEJ_PAGES.search(first.description) if first.description.startswith("ImageJ=") else None
    return int(found[1]) if found else 1


class Stack(Animation):
    """The pages of a TIFF that are images of their own, in the order of the file, or those of an ImageJ stack.

    ImageJ writes a stack of more than 4 GiB as one page, whose text says how many images follow it, one after another.
    """

    def __init__(self, path: Path, stride: int, color: Color | None, limits: Limits, reading: Reading) -> None:
        try:
            self._pages = list(islice(directories(path), limits.frames + 1))
        except ValueError as error:
            raise BadInputError(path, f"its pages cannot be counted ({error})") from None
        if not self._pages:
            raise BadInputError(path, "it has no pages")
        self._frames = [number for number, page in enumerate(self._pages) if page.is_frame] or [0]
        self._big_endian = is_big_endian(path)
        super().__init__(path, "tiff", stride, color, limits, reading)
        self._say()

    @property
    def _in_one_page(self) -> bool:
        return len(self._pages) == 1 and imagej_count(self._pages[0]) > 1

    def _say(self) -> None:
        first, count = self._pages[0], self.native_count
        found = max(len(self._frames), imagej_count(first) if self._in_one_page else 1)
        if found > 1:
            how = f"the {count} pages are" if self.reading.pages == "all" else f"the first of {found} pages is"
            other = "first" if self.reading.pages == "all" else "all"
            self.notes.append(f"{how} read as frames, in their order in the file (other: {OPTION}.pages={other})")
        axes = {name: int(size) for name, size in IMAGEJ_AXES.findall(first.description) if int(size) > 1}
        if len(axes) > 1:
            sizes = ", ".join(f"{size} {name}" for name, size in axes.items())
            self.notes.append(f"ImageJ's stack has {sizes}: one frame each, the first of these changing fastest")
        if len(self._frames) < len(self._pages):
            self.notes.append(f"{len(self._pages) - len(self._frames)} smaller copies or masks are not frames")

    def _count(self, opened: Pillow.Image, timing: Timing | None) -> int:
        if self.reading.pages == "first":
            return 1
        return len(self._memory) if self._in_one_page else len(self._frames)

    def _all_grey(self, opened: Pillow.Image, timing: Timing | None) -> bool:
        """Return whether no page has colour: the first one may be grey and a later one not."""
        if self._in_one_page or self._big_endian:
            return all(page.first(directory.SAMPLES, 1) < 3 for page in self._pages)
        for number in self._frames:
            opened.seek(number)
            if not is_grey(opened):
                return False
        return True

    def _open(self) -> Pillow.Image:
        if not self._big_endian:
            return super()._open()
        return self._decoded(0)

    def _go_to(self, opened: Pillow.Image, number: int) -> Pillow.Image:
        if self._in_one_page:
            return Pillow.fromarray(np.asarray(self._memory[number]))
        page = self._frames[number]
        if self._big_endian:
            return self._decoded(page)
        opened.seek(page)
        return opened

    def _decoded(self, number: int) -> Pillow.Image:
        page = self._pages[number]
        self.limits.check_size(self.path, page.first(directory.HEIGHT), page.first(directory.WIDTH))
        return decode_page(self.path, number)

    @cached_property
    def _memory(self) -> np.memmap[tuple[int, ...], np.dtype[np.generic]]:
        """The images of an ImageJ stack of one page, (T, H, W)."""
        page = self._pages[0]
        form = FORMS.get((page.first(directory.BITS, 1), page.first(directory.SAMPLE_FORMAT, 1)))
        if form is None or page.first(directory.COMPRESSION, 1) != 1 or page.first(directory.SAMPLES, 1) != 1:
            what = "an ImageJ stack in one page is read if it is grey and not compressed"
            raise BadInputError(self.path, what, "save it as an image sequence, or as pages")
        with self.path.open("rb") as file:
            order = "<" if file.read(2) == b"II" else ">"
        shape = (imagej_count(page), page.first(directory.HEIGHT), page.first(directory.WIDTH))
        offset, size = page.first(directory.OFFSETS), int(np.prod(shape)) * np.dtype(form).itemsize
        if offset + size > self.path.stat().st_size:
            whole = (self.path.stat().st_size - offset) // (size // shape[0])
            raise BadInputError(self.path, f"the ImageJ stack says {shape[0]} images, the file ends after {whole}")
        return np.memmap(self.path, np.dtype(order + form), "r", offset, shape)
