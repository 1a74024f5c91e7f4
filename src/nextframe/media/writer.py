"""Writing frames to a file, as they come; the ending decides the format. A file appears whole or not at all."""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.clip import as_uint8
from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import whole_file

LOG = logging.getLogger(__name__)
Image = NDArray[np.uint8]  # (H, W, C), C is 1 or 3
Shape = tuple[int, ...]  # of an image
Encoder = Callable[[Path, Shape, Iterator[Image], float], None]
GIF_FASTEST = 50.0  # frames per second: viewers play a GIF with shorter delays at ten
GIF_SLOWEST = 100 / 65535  # its delays are hundredths of a second in 16 bits
MP4_SLOWEST = 1 / (7 * 24 * 3600)  # its times are 32 bits, here milliseconds below SLOW
SLOW = 0.01
FASTEST = 10_000.0
BT709, LIMITED = 1, 1  # in the code points of H.273
SPOOL = 2**22  # bytes of a colour GIF's frames in memory; more wait in a file for the palette, beside the output
LARGEST = {".mp4": 16384, ".gif": 65535}  # pixels along a side: x264's most, and 16 bits
WHOLE = (".png",)  # endings of the formats that need all frames before they write one
H264 = 75, 5.5, 45  # bytes of a pixel that x264 holds: always, and for each frame that it looks ahead, at most so many
PALETTE = 100, 0, 0  # the same of the filters of a GIF


def write_video(
    path: str | os.PathLike[str],
    frames: Tensor | Iterable[Tensor],
    fps: float = 10.0,
    *,
    sound_of: Path | None = None,
    hold: float | None = None,
) -> Path:
    """Write frames to `path`, in the format of its ending; of frames that are made as they are asked for, few are held.

    * .gif: every frame is kept, even if it equals the one before it; grey frames are exact, colour frames share one
      palette of 256. Delays are whole hundredths of a second, whose sum is the time of the clip to one of them.
      Faster than 50 frames/s is written as 50, as viewers show shorter delays for a tenth of a second; slower than
      one in 655 s as that.
    * .mp4: H.264 in yuv420p, BT.709 and tagged so, which plays everywhere; an odd height or width repeats its last row
      or column.
    * .png: one image, the frames side by side; all are held.
    * .npy: uint8 (T, H, W), or (T, H, W, C) in colour, time first.

    Args:
        path: the file; missing folders are made.
        frames: (T, C, H, W), C 1 or 3, or an iterable of (C, H, W); uint8, or float in [0, 1].
        fps: frames per second.
        sound_of: a file whose sound is copied, as it is stored, if the format has sound; else a warning says so.
        hold: seconds that a GIF shows its last frame; None: as long as the others.

    Raises:
        UserError: an unknown ending, no frames, or frames of another shape.
        BadInputError: the file cannot be written there.
    """
    path = Path(path)
    encode = check_ending(path)
    if isinstance(frames, Tensor) and (frames.ndim != 4 or frames.shape[1] not in (1, 3) or 0 in frames.shape):
        raise UserError(f"frames to write must be (T, C, H, W) with 1 or 3 channels, not {tuple(frames.shape)}")
    if not 0 < fps <= FASTEST:
        raise UserError(f"cannot write {fps} frames per second")
    images = _images(frames)
    first = next(images, None)  # before anything is made on disk
    if first is None:
        raise UserError(f"{path}: there are no frames to write")
    most, (height, width) = LARGEST.get(path.suffix.lower(), math.inf), first.shape[:2]
    if max(height, width) > most:
        raise UserError(f"{path}: frames are {width}x{height}, a side has at most {most} pixels: write a .png or .npy")
    with whole_file(path) as temporary:
        if encode is _write_gif:
            _write_gif(temporary, first.shape, chain([first], images), fps, hold)
        else:
            encode(temporary, first.shape, chain([first], images), fps)
        if sound_of is not None:
            _add_sound(temporary, sound_of)
    return path


def _images(frames: Iterable[Tensor]) -> Iterator[Image]:
    """Yield frames (C, H, W) as (H, W, C) uint8, all of the first one's shape."""
    shape: tuple[int, ...] | None = None
    for frame in frames:
        if not isinstance(frame, Tensor) or not (frame.is_floating_point() or frame.dtype == torch.uint8):
            kind = f"{type(frame).__name__} {getattr(frame, 'dtype', '')}"
            raise UserError(f"frames to write must be tensors of uint8 or floats, not {kind}")
        shape = shape or tuple(frame.shape)
        if frame.ndim != 3 or frame.shape[0] not in (1, 3) or 0 in frame.shape or tuple(frame.shape) != shape:
            raise UserError(f"frames to write must be (C, H, W) of one size, C 1 or 3, not {tuple(frame.shape)}")
        yield as_uint8(frame).cpu().permute(1, 2, 0).contiguous().numpy()


def _add_sound(path: Path, source: Path) -> None:
    from nextframe.media.video.sound import copy_sound, has_sound

    if not has_sound(source):
        return
    if path.suffix.lower() == ".mp4":
        copy_sound(source, path)
    else:
        LOG.warning("%s: its sound is not in the output: a %s has none, an mp4 keeps it", source.name, path.suffix)


def check_ending(path: Path) -> Encoder:
    """Return the function that writes files like `path`; UserError, with all endings, if there is none."""
    encode = ENCODERS.get(path.suffix.lower())
    if encode is None:
        endings = ", ".join(sorted(ENCODERS))
        raise UserError(f"{path}: cannot write '{path.suffix or path.name}' files; use one of {endings}")
    return encode


def encoder_bytes(path: Path, frames: int) -> float:
    """Return how many bytes the encoder of a file like `path` holds for each pixel of a frame, if there are `frames`.

    Measured by scripts/memory_table.py; the others hold no more than what they are given.
    """
    always, each, most = {".mp4": H264, ".gif": PALETTE}.get(path.suffix.lower(), (0, 0, 0))
    return always + each * min(frames, most)


def _write_gif(path: Path, shape: Shape, images: Iterator[Image], fps: float, hold: float | None = None) -> None:
    import av

    grey, ticks = shape[2] == 1, round(100 / _within(fps, GIF_SLOWEST, GIF_FASTEST, "a GIF"), 9)  # a half stays one
    last = ticks if hold is None else min(max(ticks, round(100 * hold, 9)), 100 / GIF_SLOWEST)
    options = {"final_delay": str(math.ceil(last - 0.5))}  # a half down, as times are rounded up: the sum is right
    with av.open(str(path), "w", format="gif", options=options) as container:
        stream: Any = container.add_stream("gif", rate=100)
        stream.height, stream.width = shape[:2]
        stream.pix_fmt = "gray" if grey else "pal8"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        for frame in _numbered(images, "gray", ticks) if grey else _with_palette(images, shape, ticks, path.parent):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _within(fps: float, slowest: float, fastest: float, what: str) -> float:
    """Return the nearest rate that a format can have, and say so if it is not `fps`."""
    rate = min(max(fps, slowest), fastest)
    if rate != fps:
        words = f"at most {rate:g} frames/s" if fps > rate else f"at least one frame in {1 / rate:g} s"
        LOG.warning("%s shows %s: %g frames/s is written as that", what, words, fps)
    return rate


def _fraction(fps: float) -> Fraction:
    """Return the rate as a fraction; of less than one frame a second the time of a frame is what is kept."""
    return Fraction(fps).limit_denominator(1001) if fps >= 1 else 1 / Fraction(1 / fps).limit_denominator(1001)


def _numbered(images: Iterable[Image], form: str, ticks: float) -> Iterator[Any]:
    """Yield PyAV frames, frame t shown from t * ticks hundredths of a second on: rounding does not add up."""
    import av

    for number, image in enumerate(images):
        frame: Any = av.VideoFrame.from_ndarray(image[..., 0] if form == "gray" else image, format=form)
        frame.pts, frame.time_base = math.floor(number * ticks + 0.5), Fraction(1, 100)
        yield frame


def _with_palette(images: Iterator[Image], shape: Shape, ticks: float, folder: Path) -> Iterator[Any]:
    """Yield colour frames as indices into one palette made for all of them (FFmpeg's palettegen and paletteuse).

    Until the palette is known the frames wait in a file in `folder`, if they are many.
    """
    with tempfile.SpooledTemporaryFile(SPOOL, dir=str(folder)) as spool:
        maker = _Filter("palettegen", "reserve_transparent=0", (shape, "rgb24"))
        for frame in _numbered(_kept(images, spool), "rgb24", ticks):
            maker.through(frame)
        palette = maker.through(None)[0]
        spool.seek(0)
        # Ordered dithering: a still pixel does not flicker; a third of the time of error diffusion, and less error.
        colours = ((palette.height, palette.width), palette.format.name)
        user = _Filter("paletteuse", "dither=bayer:bayer_scale=4", (shape, "rgb24"), colours)
        user.through(palette, 1)
        user.through(None, 1)
        for frame in chain(_numbered(_again(spool, shape), "rgb24", ticks), [None]):
            yield from user.through(frame)


class _Filter:
    """One of FFmpeg's filters, with an input for each shape and pixel format."""

    def __init__(self, name: str, options: str, *inputs: tuple[Shape, str]) -> None:
        import av.filter

        self._graph = av.filter.Graph()  # kept: its filters do not keep it
        middle, self._output = self._graph.add(name, options), self._graph.add("buffersink")
        self._inputs: list[Any] = []
        for place, ((height, width, *_), form) in enumerate(inputs):
            size = {"height": height, "width": width}
            self._inputs.append(self._graph.add_buffer(**size, format=form, time_base=Fraction(1, 100)))
            self._inputs[-1].link_to(middle, 0, place)
        middle.link_to(self._output)
        self._graph.configure()

    def through(self, frame: Any, place: int = 0) -> list[Any]:
        """Give a frame, None after the last, to input number `place`; return what comes out, before frames pile up."""
        import av

        self._inputs[place].push(frame)
        ready: list[Any] = []
        while True:
            try:
                ready.append(self._output.pull())
            except (av.error.EOFError, av.error.BlockingIOError):
                return ready


def _kept(images: Iterator[Image], spool: IO[bytes]) -> Iterator[Image]:
    for image in images:
        spool.write(image.tobytes())
        yield image


def _again(spool: IO[bytes], shape: Shape) -> Iterator[Image]:
    while data := spool.read(math.prod(shape)):
        yield np.frombuffer(data, np.uint8).reshape(shape)


def _write_mp4(path: Path, shape: Shape, images: Iterator[Image], fps: float) -> None:
    import av

    height, width = shape[:2]
    odd = height % 2, width % 2
    if any(odd):
        LOG.info("H.264 needs even sizes: the last row or column of %dx%d is repeated", width, height)
    rate = _within(fps, MP4_SLOWEST, FASTEST, "an mp4")
    options = {"movflags": "+faststart"} | ({"video_track_timescale": "1000"} if rate < SLOW else {})
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=_fraction(rate))
        stream.height, stream.width = height + odd[0], width + odd[1]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
        _tag_bt709(stream.codec_context)
        for image in images:
            frame = av.VideoFrame.from_ndarray(_even_rgb(image), format="rgb24")
            video = {"format": "yuv420p", "src_color_range": "JPEG", "dst_color_range": "MPEG"}
            container.mux(stream.encode(frame.reformat(**video, dst_colorspace="ITU709")))
        container.mux(stream.encode(None))


def _even_rgb(image: Image) -> Image:
    """Return an image in RGB whose sides are even: the last row or column is repeated."""
    height, width, channels = image.shape
    if height % 2 or width % 2:
        image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.repeat(image, 3, axis=2) if channels == 1 else image


def _tag_bt709(context: Any) -> None:
    """State how colours are stored: where nothing is stated, players guess by the height, and differ."""
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED


def _write_png(path: Path, shape: Shape, images: Iterator[Image], fps: float) -> None:
    from PIL import Image

    strip = np.concatenate(list(images), axis=1)  # (H, T * W, C)
    Image.fromarray(strip[..., 0] if strip.shape[2] == 1 else strip).save(path, format="PNG", optimize=True)


def _write_npy(path: Path, shape: Shape, images: Iterator[Image], fps: float) -> None:
    kind = np.lib.format.dtype_to_descr(np.dtype(np.uint8))
    inner, count = shape[:2] if shape[2] == 1 else shape, 0

    def write_header() -> None:  # its length does not depend on the first axis: it leaves room for a longer number
        array = {"descr": kind, "fortran_order": False, "shape": (count, *inner)}
        np.lib.format.write_array_header_1_0(file, array)

    with path.open("wb") as file:
        write_header()
        for count, image in enumerate(images, start=1):  # noqa: B007 - the header has the last
            file.write(image.tobytes())
        file.seek(0)
        write_header()


ENCODERS: dict[str, Encoder] = {
    ".gif": _write_gif,
    ".mp4": _write_mp4,
    ".png": _write_png,
    ".npy": _write_npy,
}
