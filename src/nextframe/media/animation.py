"""Animated GIF, WebP, PNG and AVIF, read with Pillow, which applies disposal and blending."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Generator
from pathlib import Path
from typing import Any

from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from nextframe.core.errors import BadInputError
from nextframe.media.images import PILLOW_ERRORS, check_depth, is_grey, one_line, open_image, pixels, upright
from nextframe.media.limits import Limits
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.source import Color, Image, Source
from nextframe.media.timing import DURATIONS, Timing, read_timing

CLEARED = 2  # the disposal of an image whose place is cleared before the next one (GIF89a, section 23)


class Animation(Source):
    """An animated image. Each stored frame is one frame, however long it is shown; fps is frames / duration."""

    def __init__(
        self, path: Path, kind: str, stride: int, color: Color | None, limits: Limits, reading: Reading = DEFAULT
    ) -> None:
        super().__init__(path, stride, color, limits, reading)
        self.kind = kind
        self._first = 0  # where the animation begins: after the still image that a PNG may hold for old viewers
        timing = read_timing(path, kind)
        self._look(timing)
        self.uneven = timing is not None and timing.variable
        if self.uneven:
            self.notes.append(DURATIONS)
        if timing and not timing.complete and kind == "gif":
            self.notes.append("the file has no end marker, so it may be truncated")

    def _look(self, timing: Timing | None) -> None:
        """Read the facts from the first frame and the blocks."""
        with self._open() as opened:
            self.native_count = self._count(opened, timing)
            if opened.info.get("default_image") and self.native_count > 1:
                self._first = 1
                self.native_count -= 1
            self.native_channels = 1 if self._all_grey(opened, timing) else 3
            self.check_count(self.native_count - 1)
            self._stored_size = self._canvas() or opened.size
            self.height, self.width = self._image(opened, 0).shape[:2]
            if timing:
                self.native_fps = timing.fps
            elif opened.info.get("duration"):
                self.native_fps = 1000 / float(opened.info["duration"])

    def _all_grey(self, opened: Pillow.Image, timing: Timing | None) -> bool:
        """Return whether no frame has colour: all have one mode, but those of a GIF have palettes of their own."""
        return timing.grey if timing and self.kind == "gif" else is_grey(opened)

    def _canvas(self) -> tuple[int, int] | None:
        """Return the size (width, height) of a GIF's screen; None for other kinds, and for a GIF that states none."""
        if self.kind != "gif":
            return None
        with self.path.open("rb") as file:
            width, height = struct.unpack("<HH", file.read(10)[6:])
        return (width, height) if width and height else None

    def _on_canvas(self, opened: Pillow.Image) -> Pillow.Image:
        """Return a decoded frame in the size of the first; Pillow enlarges a GIF for frames that go beyond it."""
        if opened.size == self._stored_size:
            return opened
        width, height = self._stored_size
        if self.kind != "gif" or opened.width < width or opened.height < height:
            sizes = "{}x{}, the first frame's is {}x{}".format(*opened.size, *self._stored_size)
            raise ValueError(f"its size is {sizes}")
        beyond = "frames go beyond the screen of the GIF: they are cut there, as viewers do"
        self.notes += [beyond] if beyond not in self.notes else []
        return opened.crop((0, 0, width, height))

    def _count(self, opened: Pillow.Image, timing: Timing | None) -> int:
        """Return how many frames there must be; a GIF's blocks say so even if Pillow stops early."""
        if self.kind == "gif":
            if timing is None:
                raise self.damage(0, "there is none in the file")
            return len(timing.delays)
        try:
            return int(getattr(opened, "n_frames", 1))
        except PILLOW_ERRORS as error:
            raise BadInputError(self.path, f"its frames cannot be counted ({one_line(error)})") from None

    def _open(self) -> Pillow.Image:
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always")
                opened = open_image(self.path)
            said = {f"Pillow says: {one_line(w.message)}" for w in heard if isinstance(w.message, UserWarning)}
            self.notes += sorted(said - set(self.notes))
            self.limits.check_size(self.path, opened.height, opened.width)
            return opened
        except UnidentifiedImageError:
            other = " or of a kind that is not read, such as 64-bit numbers" if self.kind == "tiff" else ""
            raise BadInputError(self.path, f"the {self.kind} header is damaged{other}") from None
        except BadInputError:
            raise
        except PILLOW_ERRORS as error:
            raise BadInputError(self.path, f"cannot be opened ({one_line(error)})") from None

    def _image(self, opened: Pillow.Image, number: int) -> Image:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # reported once, in the notes
                opened = self._go_to(opened, number)
            check_depth(opened, self.levels)
            opened.load()
            opened = self._on_canvas(opened)
            return pixels(upright(opened), self.native_channels == 1, self.levels)
        except EOFError:
            raise self.damage(number, "the file ends before it") from None
        except PILLOW_ERRORS as error:
            raise self.damage(number, one_line(error)) from None

    def _go_to(self, opened: Pillow.Image, number: int) -> Pillow.Image:
        """Return the image of frame `number`, not yet decoded."""
        if self.kind == "gif":
            step(opened, number)
        else:
            opened.seek(self._first + number)
        return opened

    def decode(self, start: int = 0) -> Generator[Image, None, None]:
        """Yield every frame from number `start`, composed as a viewer shows it, as uint8 (H, W, C)."""
        assert self.native_count is not None
        with self._open() as opened:
            for number in range(start, self.native_count):
                yield self._image(opened, number)


def step(gif: Any, number: int) -> None:
    """Go on to image `number` of a GIF that Pillow has opened, clearing what is to be cleared.

    A GIF without a colour table for all its images has no background colour (GIF89a, section 18), so nothing is left
    in the place; Pillow takes a colour of the image's own table.
    """
    if number < gif.tell():
        gif.seek(0)
    while gif.tell() < number:
        disposal, place = gif.disposal_method, gif.dispose_extent
        gif.seek(gif.tell() + 1)  # not decoded: the image is what the one before has left
        if disposal == CLEARED and place and gif.global_palette is None:
            left, top, right, bottom = place
            gif.im.paste(Pillow.new(gif.mode, (right - left, bottom - top)).im, place)
