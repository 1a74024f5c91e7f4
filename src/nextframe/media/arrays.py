"""Frames in NumPy files: one video, or the many sequences of a benchmark such as Moving MNIST."""

from __future__ import annotations

import struct
import tokenize
import zipfile
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.mapped import check_whole
from nextframe.media.images import one_line
from nextframe.media.limits import Limits
from nextframe.media.memory import ROUNDING
from nextframe.media.reading import OPTION, Reading, setting, taken_as
from nextframe.media.source import Color, Image, Source, over_black

LAYOUTS = ("THW", "THWC", "TCHW", "NTHW", "TNHW", "NTHWC", "NTCHW", "TNHWC")
NUMPY_ERRORS = (
    OSError, ValueError, EOFError, KeyError, TypeError, OverflowError, MemoryError, SyntaxError, RuntimeError,
    IndexError, AttributeError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
CHANNELS = (1, 3, 4)
PREDRNN = {"clips", "dims", "input_raw_data"}  # the arrays of its files
FORMS = "(T,H,W[,C]), (T,C,H,W), (N,T,H,W[,C]), (N,T,C,H,W) or (20,N,H,W)"


def guess_layout(shape: tuple[int, ...]) -> str | None:
    """Return which axis is which, by the first rule that fits; None if none does.

    3 axes: THW. 4 axes: the last is 1, 3 or 4 -> THWC; the second is 1 or 3 -> TCHW (not 4: sequences of 4 grey frames
    are more common than RGBA with channels first); the first is 20 -> TNHW, the time-first layout of the standard
    Moving MNIST test file; else NTHW. 5 axes: the last is 1, 3 or 4 -> NTHWC; the third is 1, 3 or 4 -> NTCHW.
    """
    if len(shape) == 3:
        return "THW"
    if len(shape) == 4:
        if shape[3] in CHANNELS:
            return "THWC"
        if shape[1] in (1, 3):
            return "TCHW"
        return "TNHW" if shape[0] == 20 else "NTHW"
    if len(shape) == 5:
        return "NTHWC" if shape[4] in CHANNELS else "NTCHW" if shape[2] in CHANNELS else None
    return None


class ArraySource(Source):
    """One sequence of a .npy (memory-mapped) or .npz file.

    Integers must be in 0..255 and floats in [0, 1], but for rounding (checked frame by frame); booleans are black and
    white.
    """

    kind = "array"

    def __init__(
        self,
        path: Path,
        stride: int,
        color: Color | None,
        limits: Limits,
        reading: Reading,
        sequence: int,
    ) -> None:
        super().__init__(path, stride, color, limits, reading)
        array, listed = _load(path, limits, reading.layout, self.notes)
        self._stored = array
        self.layout = _checked_layout(path, array, listed or reading.layout)
        self._array = _sequences(array, self.layout)  # (N, T, H, W, C)
        self.sequences, count, self.height, self.width, depth = self._array.shape
        self.native_count, self.native_channels = count, 1 if depth == 1 else 3
        limits.check_size(path, self.height, self.width)
        self.check_count(count - 1)
        if not 0 <= sequence < self.sequences:
            raise UserError(f"{path}: there is no sequence {sequence}, it has {self.sequences}")
        self.sequence = sequence
        self.notes.append("arrays have no frame rate: 10 frames/s is assumed")
        if self.sequences > 1:
            self.name = f"{path.name}[{sequence}]"
        if reading.range is None and array.dtype.kind in "uif" and array.dtype != np.uint8:
            self.notes.append(f"values of {array.dtype}: {taken_as(1 if array.dtype.kind == 'f' else 255)}")
        self.notes.append(self._what_it_is(array.shape, listed is not None))

    def _what_it_is(self, shape: tuple[int, ...], listed: bool) -> str:
        """Return how the axes are understood, and what sets another order."""
        many = f"{self.sequences} sequences of " if self.sequences > 1 else ""
        color = {1: "grey", 3: "RGB", 4: "RGBA"}[self._array.shape[-1]]
        what = f"{many}{self.native_count} {color} frames of {self.width}x{self.height}"
        if listed:
            return f"read as PredRNN's files are: {what}, as its clips list them (one video: {OPTION}.layout=TCHW)"
        other = next(axes for axes in (*LAYOUTS, "HWT", "HWCT") if len(axes) == len(shape) and axes != self.layout)
        return f"axes {shape} are read as {self.layout}: {what} (other: {OPTION}.layout={other}, or any order)"

    def decode(self, start: int = 0) -> Generator[Image, None, None]:
        """Yield every frame from number `start` as uint8 (H, W, C); refuses values out of range."""
        for number in range(start, int(self._array.shape[1])):
            check_whole(self._stored, self.path)
            image = self._as_uint8(np.asarray(self._array[self.sequence, number]), number)
            if image.shape[2] == 4:
                self.levels.see_alpha(image[..., -1])
                image = over_black(image)
            yield image

    def _as_uint8(self, frame: NDArray[Any], number: int) -> Image:
        if frame.dtype == np.bool_:
            return frame.astype(np.uint8) * np.uint8(255)
        top = 1.0 if frame.dtype.kind == "f" else 255
        self.levels.see(frame, top)
        if self.levels.ends is not None and np.isfinite(frame).all():
            return self.levels.scaled(frame)
        if frame.dtype == np.uint8:
            return frame
        low, high = float(frame.min()), float(frame.max())
        slack = ROUNDING if top == 1.0 else 0
        if not (low >= -slack and high <= top + slack):  # also true for NaN
            what = f"frame {number} has values from {low:.9g} to {high:.9g}; {frame.dtype} must be in 0..{top:g}"
            fix = f"say which are black and white: {setting('range', f'[0,{high:g}]')}, or save it as uint8"
            finite = np.isfinite(high - low)  # else no range makes frames of it
            raise BadInputError(self.path, what, fix if finite else "replace what is not a number (numpy.nan_to_num)")
        return np.rint(frame.astype(np.float64).clip(0, top) * (255 / top)).astype(np.uint8)


def _checked_layout(path: Path, array: NDArray[Any], layout: str | None) -> str:
    layout = layout or guess_layout(array.shape)
    if layout is None or len(layout) != array.ndim or 0 in array.shape:
        raise BadInputError(path, f"an array of shape {array.shape} is not a video", f"expected {FORMS}")
    if len(set(layout)) < len(layout) or not set("THW") <= set(layout) <= set("NTHWC"):
        raise UserError(f"layout '{layout}' is unknown: write T, H, W and perhaps N and C, as in {', '.join(LAYOUTS)}")
    if array.dtype.kind not in "buif":
        raise BadInputError(path, f"an array of {array.dtype} is not a video", "save it as uint8")
    if "C" in layout and array.shape[layout.index("C")] not in CHANNELS:
        raise BadInputError(path, f"{array.shape[layout.index('C')]} channels in layout {layout}", "have 1, 3 or 4")
    return layout


def _sequences(array: NDArray[Any], layout: str) -> NDArray[Any]:
    """Return a view (N, T, H, W, C)."""
    for axis in "NC":
        if axis not in layout:
            array, layout = array[..., None], layout + axis
    return array.transpose([layout.index(axis) for axis in "NTHWC"])


def _load(path: Path, limits: Limits, layout: str | None, notes: list[str]) -> tuple[NDArray[Any], str | None]:
    """Return the array of frames, and its layout if the file itself says which frames are a sequence."""
    try:
        if zipfile.is_zipfile(path):
            return _load_npz(path, limits, layout, notes)
        mapped: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return mapped, None
    except BadInputError:
        raise
    except NUMPY_ERRORS as error:
        what = "it holds Python objects, not numbers" if "bject" in str(error) else one_line(error)
        raise BadInputError(path, f"the array cannot be read ({what})", "save it with numpy.save") from None


def _load_npz(path: Path, limits: Limits, layout: str | None, notes: list[str]) -> tuple[NDArray[Any], str | None]:
    """Return the one array in the archive that has the shape of frames, or the sequences of one of PredRNN's."""
    with zipfile.ZipFile(path) as archive:
        limits.check_bytes(path, sum(item.file_size for item in archive.infolist()))
        inside = [item.filename for item in archive.infolist() if item.filename.endswith(".npy")]
    with np.load(path, allow_pickle=False) as arrays:
        found = {name.removesuffix(".npy"): arrays[name] for name in inside}
    if set(found) >= PREDRNN:
        whole = found["input_raw_data"]
        return (whole, None) if layout else (_clips_of(path, whole, found["clips"], limits), "NTCHW")
    videos = {n: a for n, a in found.items() if a.dtype.kind in "buif" and a.ndim >= 3 and guess_layout(a.shape)}
    if len(videos) != 1:
        names = ", ".join(f"{n} {a.shape}" for n, a in found.items()) or "nothing"
        raise BadInputError(path, f"expected one array of frames among: {names}", "save that one as .npy")
    ((name, frames),) = videos.items()
    if len(found) > 1:
        notes.append(f"of its {len(found)} arrays {name} is read, the one that has the shape of frames")
    return frames, None


def _clips_of(path: Path, frames: NDArray[Any], clips: NDArray[Any], limits: Limits) -> NDArray[Any]:
    """Return the sequences (N, T, C, H, W) of `frames` (F, C, H, W), the layout of PredRNN's Moving MNIST files.

    `clips` (2, N, 2) has the first frame and the number of frames of each input, and of the output that follows it.
    """
    fix = f"to read all its frames as one video: {setting('layout', 'TCHW')}"
    if frames.ndim != 4 or clips.ndim != 3 or clips.shape[::2] != (2, 2) or clips.dtype.kind not in "iu":
        raise BadInputError(path, f"clips {clips.shape} of frames {frames.shape} are not as PredRNN writes them", fix)
    listed = [
        np.concatenate([np.arange(first, first + count) for first, count in parts])
        for parts in clips.transpose(1, 0, 2).astype(np.int64)
    ]
    if len({len(numbers) for numbers in listed}) != 1:
        raise BadInputError(path, "its clips are of different lengths", fix)
    numbers = np.stack(listed)  # (N, T)
    if numbers.size and not 0 <= numbers.min() <= numbers.max() < len(frames):
        raise BadInputError(path, f"its clips name frame {numbers.max()} of {len(frames)}", fix)
    limits.check_bytes(path, numbers.size * frames[0].nbytes if len(frames) else 0)
    return np.asarray(frames[numbers])
