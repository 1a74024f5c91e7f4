"""Writing frames to a file; the ending decides the format. A file appears whole or not at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from nextframe.core.clip import as_uint8
from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import whole_file

LOG = logging.getLogger(__name__)
Frames = NDArray[np.uint8]  # (T, H, W, C), C is 1 or 3
GIF_FASTEST = 50.0  # frames per second: viewers play a GIF with shorter delays at ten
GIF_SLOWEST = 100 / 65535  # its delays are hundredths of a second in 16 bits
MP4_SLOWEST = 1 / (7 * 24 * 3600)  # its times are 32 bits, here milliseconds below SLOW
SLOW = 0.01
FASTEST = 10_000.0
BT709, LIMITED = 1, 1  # in the code points of H.273


def write_video(
    path: str | os.PathLike[str], frames: Tensor, fps: float = 10.0, *, sound_of: Path | None = None
) -> Path:
    """Write frames to `path`, in the format of its ending.

    * .gif: every frame is kept, even if it equals the one before it; grey frames are exact, colour frames share one
      palette of 256. Delays are hundredths of a second; faster than 50 frames/s is written as 50, slower than one in
      655 s as that.
    * .mp4: H.264 in yuv420p, BT.709 and tagged so, which plays everywhere; an odd height or width repeats its last row
      or column.
    * .png: one image, the frames side by side.
    * .npy: uint8 (T, H, W), or (T, H, W, C) in colour, time first.

    Args:
        path: the file; missing folders are made.
        frames: (T, C, H, W), C 1 or 3; uint8, or float in [0, 1].
        fps: frames per second.
        sound_of: a file whose sound is copied, as it is stored, if the format has sound; else a warning says so.

    Raises:
        UserError: an unknown ending, no frames, or frames of another shape.
        BadInputError: the file cannot be written there.
    """
    path = Path(path)
    encode = check_ending(path)
    if frames.ndim != 4 or frames.shape[1] not in (1, 3) or 0 in frames.shape:
        raise UserError(f"frames to write must be (T, C, H, W) with 1 or 3 channels, not {tuple(frames.shape)}")
    if not 0 < fps <= FASTEST:
        raise UserError(f"cannot write {fps} frames per second")
    pixels = as_uint8(frames).cpu().permute(0, 2, 3, 1).contiguous().numpy()  # (T, H, W, C)
    with whole_file(path) as temporary:
        encode(temporary, pixels, fps)
        if sound_of is not None:
            _add_sound(temporary, sound_of)
    return path


def _add_sound(path: Path, source: Path) -> None:
    from nextframe.media.video.sound import copy_sound, has_sound

    if not has_sound(source):
        return
    if path.suffix.lower() == ".mp4":
        copy_sound(source, path)
    else:
        LOG.warning("%s: its sound is not in the output: a %s has none, an mp4 keeps it", source.name, path.suffix)


def check_ending(path: Path) -> Callable[[Path, Frames, float], None]:
    """Return the function that writes files like `path`; UserError, with all endings, if there is none."""
    encode = ENCODERS.get(path.suffix.lower())
    if encode is None:
        endings = ", ".join(sorted(ENCODERS))
        raise UserError(f"{path}: cannot write '{path.suffix or path.name}' files; use one of {endings}")
    return encode


def _write_gif(path: Path, pixels: Frames, fps: float) -> None:
    import av

    rate = _within(fps, GIF_SLOWEST, GIF_FASTEST, "a GIF")
    grey = pixels.shape[3] == 1
    options = {"final_delay": str(round(100 / rate))}  # else the last frame is shown for a tenth of a second
    with av.open(str(path), "w", format="gif", options=options) as container:
        stream: Any = container.add_stream("gif", rate=100)
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = "gray" if grey else "pal8"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        numbered = _numbered(pixels, "gray" if grey else "rgb24", 100 / rate)
        for frame in numbered if grey else _with_palette(numbered, *pixels.shape[1:3]):
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


def _numbered(pixels: Frames, form: str, ticks: float) -> Iterator[Any]:
    """Yield PyAV frames, frame t shown from t * ticks hundredths of a second on."""
    import av

    for number, image in enumerate(pixels):
        frame: Any = av.VideoFrame.from_ndarray(image[..., 0] if form == "gray" else image, format=form)
        frame.pts, frame.time_base = round(number * ticks), Fraction(1, 100)
        yield frame


def _with_palette(frames: Iterator[Any], height: int, width: int) -> Iterator[Any]:
    """Yield colour frames as indices into one palette made for all of them (FFmpeg's palettegen and paletteuse)."""
    import av.filter

    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format="rgb24", time_base=Fraction(1, 100))
    split = graph.add("split")
    palette = graph.add("palettegen", "reserve_transparent=0")
    # Ordered dithering: a still pixel does not flicker; a third of the time of error diffusion, and less error.
    use, sink = graph.add("paletteuse", "dither=bayer:bayer_scale=4"), graph.add("buffersink")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for frame in frames:
        graph.push(frame)
    graph.push(None)
    while True:
        try:
            yield graph.pull()
        except (av.error.EOFError, av.error.BlockingIOError):
            return


def _write_mp4(path: Path, pixels: Frames, fps: float) -> None:
    import av

    height, width = pixels.shape[1:3]
    if height % 2 or width % 2:
        LOG.info("H.264 needs even sizes: the last row or column of %dx%d is repeated", width, height)
        pixels = np.pad(pixels, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    if pixels.shape[3] == 1:
        pixels = np.repeat(pixels, 3, axis=3)
    rate = _within(fps, MP4_SLOWEST, FASTEST, "an mp4")
    options = {"movflags": "+faststart"} | ({"video_track_timescale": "1000"} if rate < SLOW else {})
    with av.open(str(path), "w", format="mp4", options=options) as container:
        stream: Any = container.add_stream("libx264", rate=_fraction(rate))
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "16"}
        _tag_bt709(stream.codec_context)
        for image in pixels:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            video = {"format": "yuv420p", "src_color_range": "JPEG", "dst_color_range": "MPEG"}
            container.mux(stream.encode(frame.reformat(**video, dst_colorspace="ITU709")))
        container.mux(stream.encode(None))


def _tag_bt709(context: Any) -> None:
    """State how colours are stored: where nothing is stated, players guess by the height, and differ."""
    context.color_primaries = context.color_trc = context.colorspace = BT709
    context.color_range = LIMITED


def _write_png(path: Path, pixels: Frames, fps: float) -> None:
    from PIL import Image

    strip = np.concatenate(list(pixels), axis=1)  # (H, T * W, C)
    Image.fromarray(strip[..., 0] if strip.shape[2] == 1 else strip).save(path, format="PNG", optimize=True)


def _write_npy(path: Path, pixels: Frames, fps: float) -> None:
    with path.open("wb") as file:
        np.save(file, pixels[..., 0] if pixels.shape[3] == 1 else pixels, allow_pickle=False)


ENCODERS: dict[str, Callable[[Path, Frames, float], None]] = {
    ".gif": _write_gif,
    ".mp4": _write_mp4,
    ".png": _write_png,
    ".npy": _write_npy,
}
