"""Videos: containers x codecs x pixel formats x rates x sizes."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from corpus.case import (
    COARSE,
    EXACT,
    FINE,
    LOSSY,
    ROUNDED,
    SMOOTHED,
    THINNED,
    Case,
    Frames,
    in_grey,
    over_black,
    scene,
    veil,
)
from corpus.yuv import TAGS, from_frame, to_frame

QP0, X265 = {"qp": "0", "preset": "ultrafast"}, {"x265-params": "log-level=none:pools=1"}
LOSSLESS_265 = {"x265-params": "log-level=none:pools=1:lossless=1"}
UNEVEN = "different durations"
# name, codec, pixel format, options of the codec, difference from what was written, and from OpenCV's reading
FORMATS = (
    ("ffv1-444.mkv", "ffv1", "yuv444p", {}, ROUNDED, EXACT),
    ("ffv1-422.mkv", "ffv1", "yuv422p", {}, THINNED, EXACT),
    ("ffv1-420.mkv", "ffv1", "yuv420p", {}, THINNED, EXACT),
    ("ffv1-440.mkv", "ffv1", "yuv440p", {}, THINNED, SMOOTHED),
    ("ffv1-411.mkv", "ffv1", "yuv411p", {}, THINNED, SMOOTHED),
    ("ffv1-410.mkv", "ffv1", "yuv410p", {}, COARSE, SMOOTHED),
    ("ffv1-420-10.mkv", "ffv1", "yuv420p10le", {}, THINNED, SMOOTHED),
    ("ffv1-422-10.mkv", "ffv1", "yuv422p10le", {}, THINNED, SMOOTHED),
    ("ffv1-444-12.mkv", "ffv1", "yuv444p12le", {}, ROUNDED, EXACT),
    ("ffv1-444-16.mkv", "ffv1", "yuv444p16le", {}, ROUNDED, EXACT),
    ("ffv1-rgb.mkv", "ffv1", "bgr0", {}, EXACT, EXACT),
    ("ffv1-rgb-10.mkv", "ffv1", "gbrp10le", {}, ROUNDED, EXACT),
    ("ffv1-rgb-16.mkv", "ffv1", "gbrp16le", {}, ROUNDED, EXACT),
    ("ffv1-grey.mkv", "ffv1", "gray", {}, EXACT, EXACT),
    ("ffv1-grey-10.mkv", "ffv1", "gray10le", {}, ROUNDED, ROUNDED),
    ("ffv1-grey-12.mkv", "ffv1", "gray12le", {}, ROUNDED, ROUNDED),
    ("ffv1-grey-16.mkv", "ffv1", "gray16le", {}, ROUNDED, ROUNDED),
    ("x264-lossless.mp4", "libx264", "yuv420p", QP0, THINNED, EXACT),
    ("x264-lossless-444.mp4", "libx264", "yuv444p", QP0, ROUNDED, EXACT),
    ("x264-lossless-rgb.mkv", "libx264rgb", "rgb24", {"qp": "0"}, EXACT, EXACT),
    ("x264.mp4", "libx264", "yuv420p", {}, LOSSY, EXACT),
    ("x264.mov", "libx264", "yuv420p", {}, LOSSY, EXACT),
    ("x264-full.mp4", "libx264", "yuvj420p", QP0, THINNED, EXACT),
    ("x264-10.mp4", "libx264", "yuv420p10le", QP0, THINNED, SMOOTHED),
    ("x264.ts", "libx264", "yuv420p", {}, LOSSY, EXACT),
    ("x264.flv", "libx264", "yuv420p", {}, LOSSY, EXACT),
    ("x264.h264", "libx264", "yuv420p", {}, LOSSY, EXACT),
    ("x265.mp4", "libx265", "yuv420p", X265, LOSSY, EXACT),
    ("x265-10.mkv", "libx265", "yuv420p10le", X265, LOSSY, SMOOTHED),
    ("x265-rgb.mp4", "libx265", "gbrp", LOSSLESS_265, EXACT, EXACT),
    ("x265.h265", "libx265", "yuv420p", X265, LOSSY, EXACT),
    ("vp8.webm", "libvpx", "yuv420p", {}, LOSSY, EXACT),
    ("vp8.ivf", "libvpx", "yuv420p", {}, LOSSY, EXACT),
    ("vp8.ogv", "libvpx", "yuv420p", {}, LOSSY, EXACT),
    ("vp9-lossless.webm", "libvpx-vp9", "yuv444p", {"lossless": "1"}, ROUNDED, EXACT),
    ("vp9.webm", "libvpx-vp9", "yuv420p", {}, LOSSY, EXACT),
    ("av1.webm", "libsvtav1", "yuv420p", {}, LOSSY, THINNED),
    ("av1-10.mp4", "libsvtav1", "yuv420p10le", {}, LOSSY, THINNED),
    ("av1.obu", "libsvtav1", "yuv420p", {}, LOSSY, THINNED),
    ("mjpeg.avi", "mjpeg", "yuvj420p", {"qmin": "1", "qmax": "1"}, THINNED, EXACT),
    ("mjpeg-444.mkv", "mjpeg", "yuvj444p", {"qmin": "1", "qmax": "1"}, FINE, EXACT),
    ("mjpeg.mjpeg", "mjpeg", "yuvj444p", {"qmin": "1", "qmax": "1"}, FINE, EXACT),
    ("mpeg4.avi", "mpeg4", "yuv420p", {}, LOSSY, EXACT),
    ("mpeg4.3gp", "mpeg4", "yuv420p", {}, LOSSY, EXACT),
    ("mpeg1.mpg", "mpeg1video", "yuv420p", {}, LOSSY, EXACT),
    ("mpeg2.mpg", "mpeg2video", "yuv420p", {}, LOSSY, EXACT),
    ("mpeg2-422.ts", "mpeg2video", "yuv422p", {}, LOSSY, EXACT),
    ("mpeg2-422.mxf", "mpeg2video", "yuv422p", {}, LOSSY, EXACT),
    ("wmv2.wmv", "wmv2", "yuv420p", {}, LOSSY, EXACT),
    ("msmpeg4.asf", "msmpeg4", "yuv420p", {}, LOSSY, EXACT),
    ("flv1.flv", "flv", "yuv420p", {}, LOSSY, EXACT),
    ("flv1.swf", "flv", "yuv420p", {}, LOSSY, EXACT),
    ("rv10.rm", "rv10", "yuv420p", {}, LOSSY, EXACT),
    ("snow.mkv", "snow", "yuv420p", {}, LOSSY, EXACT),
    ("prores.mov", "prores_ks", "yuv422p10le", {}, THINNED, SMOOTHED),
    ("cineform.mov", "cfhd", "yuv422p10le", {}, THINNED, SMOOTHED),
    ("v210.mov", "v210", "yuv422p10le", {}, THINNED, SMOOTHED),
    ("qtrle.mov", "qtrle", "rgb24", {}, EXACT, EXACT),
    ("png.mov", "png", "rgb24", {}, EXACT, EXACT),
    ("jpeg2000.mkv", "jpeg2000", "rgb24", {}, ROUNDED, EXACT),
    ("huffyuv.avi", "huffyuv", "rgb24", {}, EXACT, EXACT),
    ("ffvhuff.avi", "ffvhuff", "yuv444p", {}, ROUNDED, EXACT),
    ("utvideo.avi", "utvideo", "gbrp", {}, EXACT, EXACT),
    ("magicyuv.avi", "magicyuv", "gbrp", {}, EXACT, EXACT),
    ("zmbv.avi", "zmbv", "bgr0", {}, EXACT, EXACT),
    ("zlib.avi", "zlib", "bgr24", {}, EXACT, EXACT),
    ("cinepak.avi", "cinepak", "rgb24", {}, LOSSY, EXACT),
    ("raw-rgb.avi", "rawvideo", "bgr24", {}, EXACT, EXACT),
    ("raw-420.avi", "rawvideo", "yuv420p", {}, THINNED, EXACT),
    ("raw-444.y4m", "rawvideo", "yuv444p", {}, ROUNDED, EXACT),
    ("ffv1.nut", "ffv1", "yuv444p", {}, ROUNDED, EXACT),
)
# name, codec, pixel format, difference from what was written
TRANSPARENT = (
    ("alpha-ffv1.mkv", "ffv1", "bgra", EXACT),
    ("alpha-ffv1-444.mkv", "ffv1", "yuva444p", ROUNDED),
    ("alpha-ffv1-420.mkv", "ffv1", "yuva420p", THINNED),
    ("alpha-ffv1-grey.mkv", "ffv1", "ya8", EXACT),
    ("alpha-qtrle.mov", "qtrle", "argb", EXACT),
    ("alpha-utvideo.avi", "utvideo", "gbrap", EXACT),
    ("alpha-prores.mov", "prores_ks", "yuva444p10le", FINE),
)
# matrix, whether the range is full; written as tags into the file
COLOURS = tuple((matrix, full) for matrix in TAGS for full in (False, True))
# name, codec, pixel format, rate that is written, time stamps in its units (none: one after another), note
TIMES = (
    ("ntsc.mp4", "libx264", "yuv444p", Fraction(30000, 1001), None, ""),
    ("cinema.mkv", "ffv1", "yuv444p", Fraction(24000, 1001), None, ""),
    ("ntsc.avi", "utvideo", "gbrp", Fraction(30000, 1001), None, ""),
    ("hourly.mp4", "libx264", "yuv444p", Fraction(1, 3600), None, ""),
    ("hourly.mkv", "ffv1", "yuv444p", Fraction(1, 3600), None, ""),
    ("hourly.avi", "utvideo", "gbrp", Fraction(1, 3600), None, ""),
    ("fast.mp4", "libx264", "yuv444p", Fraction(240), None, ""),
    ("half.mov", "png", "rgb24", Fraction(5, 2), None, ""),
    ("late.mp4", "libx264", "yuv444p", Fraction(25), (50, 51, 52, 53, 54, 55), ""),
    ("uneven.mp4", "libx264", "yuv444p", Fraction(25), (0, 1, 4, 5, 9, 10), UNEVEN),
    ("uneven.mkv", "ffv1", "yuv444p", Fraction(25), (0, 1, 4, 5, 9, 10), UNEVEN),
    ("clock-1000.mp4", "libx264", "yuv444p", Fraction(1000), None, "states no frame rate: 25"),
)
SIZES = ((1, 1), (2, 3), (47, 63), (300, 2), (2, 600), (16, 16))  # height, width
QUICK = {"ffv1-444.mkv", "x264.mp4", "ffv1-grey-16.mkv", "mjpeg.mjpeg", "uneven.mp4", "alpha-ffv1.mkv", "vp8.webm"}


def write(path: Path, frames: list[Any], codec: str, options: dict[str, str], rate: Fraction, **tags: int) -> None:
    """Encode PyAV frames that have their time stamps, in units of one frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, options=dict(options))
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for frame in frames:
            for name, value in tags.items():
                setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _stamped(frames: list[Any], stamps: tuple[int, ...] | None = None) -> list[Any]:
    for frame, stamp in zip(frames, stamps or range(len(frames)), strict=True):
        frame.pts = stamp
    return frames


def opencv(path: Path) -> Frames:
    """Read a video with OpenCV, which brings its own FFmpeg."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1][..., ::-1])
    return np.stack(frames)


def opencv_grey(path: Path) -> Frames:
    """Read a video whose channels are equal."""
    return opencv(path)[..., :1]


def planes(path: Path) -> Frames:
    """Read a video's planes with PyAV and convert them here: OpenCV has no AV1 decoder."""
    with av.open(str(path)) as container:
        return np.stack([from_frame(frame) for frame in container.decode(video=0)])


def rgba(path: Path) -> Frames:
    """Read a video as RGBA with PyAV and compose it here: OpenCV drops alpha."""
    with av.open(str(path)) as container:
        frames = np.stack([frame.to_ndarray(format="rgba") for frame in container.decode(video=0)])
    return over_black(frames)


def rgba_grey(path: Path) -> Frames:
    """Read a grey video with alpha."""
    return rgba(path)[..., :1]


def _of_format(row: tuple[Any, ...]) -> Case:
    name, codec, form, options, near, second_near = row
    grey = form.startswith("gray")

    def make(path: Path) -> Frames:
        write(path, _stamped([to_frame(image, form) for image in scene()]), codec, options, Fraction(25))
        return in_grey(scene()) if grey else scene()

    second = planes if codec == "libsvtav1" else opencv_grey if grey else opencv
    lossless = ", lossless" if "lossless" in name or options == QP0 else ""
    says = "states no frame rate: 25" if name.endswith((".mjpeg", ".obu")) else ""
    return Case(name, f"{codec}, {form}{lossless}", make, second, near, second_near, 25, says)


def _with_alpha(row: tuple[Any, ...]) -> Case:
    name, codec, form, near = row

    def make(path: Path) -> Frames:
        pairs = zip(scene(), veil(), strict=True)
        frames = [to_frame(image, form, alpha=alpha) for image, alpha in pairs]
        write(path, _stamped(frames), codec, {}, Fraction(25))
        shown = in_grey(scene()) if form == "ya8" else scene()
        return over_black(np.concatenate([shown, veil()], -1))

    second = rgba_grey if form == "ya8" else rgba
    return Case(name, f"{codec}, {form}, over black", make, second, near, ROUNDED, 25)


def _of_colours(row: tuple[str, bool]) -> Case:
    matrix, full = row

    def make(path: Path) -> Frames:
        frames = _stamped([to_frame(image, "yuv444p", matrix, full) for image in scene()])
        write(path, frames, "ffv1", {}, Fraction(25), colorspace=TAGS[matrix], color_range=2 if full else 1)
        return scene()

    words = "full" if full else "limited"
    return Case(
        f"bt{matrix}-{words}.mkv", f"ffv1, yuv444p, tagged BT.{matrix}, {words} range", make, opencv, ROUNDED, fps=25
    )


def _of_times(row: tuple[Any, ...]) -> Case:
    name, codec, form, rate, stamps, says = row

    def make(path: Path) -> Frames:
        options = QP0 if codec == "libx264" else {}
        write(path, _stamped([to_frame(image, form) for image in scene()], stamps), codec, options, rate)
        return scene()

    fps = {"uneven.mp4": 150 / 11, "clock-1000.mp4": 25.0}.get(name, float(rate))
    what = f"{codec}, {form}, {rate} frames/s" + (f", at {', '.join(map(str, stamps))}" if stamps else "")
    return Case(name, what, make, opencv, ROUNDED if form == "yuv444p" else EXACT, fps=fps, says=says)


def _of_size(size: tuple[int, int], codec: str, form: str, ending: str) -> Case:
    def make(path: Path) -> Frames:
        frames = scene(6, *size)
        write(path, _stamped([to_frame(image, form) for image in frames]), codec, {}, Fraction(25))
        return frames

    near = EXACT if form == "gbrp" else ROUNDED
    return Case(f"{size[1]}x{size[0]}.{ending}", f"{codec}, {form}", make, opencv, near, ROUNDED, 25)


CASES = [
    replace(case, quick=case.name in QUICK)
    for case in (
        *map(_of_format, FORMATS),
        *map(_with_alpha, TRANSPARENT),
        *map(_of_colours, COLOURS),
        *map(_of_times, TIMES),
        *(_of_size(size, "utvideo", "gbrp", "avi") for size in SIZES),
        *(_of_size(size, "ffv1", "yuv444p", "mkv") for size in SIZES),
    )
]
