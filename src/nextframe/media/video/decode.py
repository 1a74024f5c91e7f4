"""Video files of any container and codec that FFmpeg supports, read with PyAV."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError
from nextframe.media.images import one_line
from nextframe.media.limits import Limits
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.source import Color, Image, Source, over_black
from nextframe.media.timing import DURATIONS, is_uneven
from nextframe.media.video.lead import CorruptError, Lead
from nextframe.media.video.promise import CUT_SHORT, promised
from nextframe.media.video.streams import chosen_stream, display_matrix, video_streams, which_stream

# Only media containers: playlists and similar formats, which make FFmpeg open other files or URLs, are not allowed.
CONTAINERS = (
    "mov,matroska,webm,avi,flv,mpegts,mpegtsraw,mpeg,mpegvideo,h264,hevc,av1,obu,m4v,vc1,ivf,asf,ogg,nut,mxf,"
    "yuv4mpegpipe,mjpeg,dv,rm,wtv,h263,h261,swf,gxf,mp3,wav,flac,aac,ac3,aiff,amr,caf,ape,apng,gif,dirac,bink,smk"
)
OPTIONS = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
PYAV_ERRORS = (av.FFmpegError, OSError, ValueError, EOFError, OverflowError, MemoryError, RuntimeError, TypeError)
DEFAULT_FPS = 25.0
RAW = ("mjpeg", "obu", "av1", "h264", "hevc")  # frames without a container: only the codec can state a rate
CLOCK = 1000  # Matroska's clock, not a rate
FASTEST = 10_000  # frames per second
INTERLACED = "interlaced: the even and the odd lines of a frame are two moments; they are kept as stored"
DEEP = ("gray16le", "gray16be")
DELAY = 64  # packets that a decoder may take before its first frame (reordering, one per thread)
# Errors are reported once, by our own exceptions. PyAV's log callback needs the GIL, which a closing decoder
# holds while it waits for its threads: with that callback in place, damaged files deadlock.
av.logging.restore_default_callback()
av.logging.set_libav_level(av.logging.PANIC)


class Video(Source):
    """The default video stream of a file, or the one that `reading` names; never a cover image.

    10 bits and more are scaled to 8; colours follow the matrix and range that the stream states (BT.601 limited
    if it states none, as players do); rotation and mirroring are applied; frames with a variable rate count once
    each and `fps` is the average. Damage is an error, never concealed.
    """

    kind = "video"

    def __init__(
        self, path: Path, stride: int, color: Color | None, limits: Limits, reading: Reading = DEFAULT
    ) -> None:
        super().__init__(path, stride, color, limits, reading)
        self._turns: tuple[bool, bool, bool] = (False, False, False)  # transpose, then flip rows, flip columns
        self._interlaced = False  # whether a frame that was decoded is
        self._cut = False  # whether it begins in the middle of a GOP, with frames that nobody can decode
        try:
            self._look()
        except BadInputError as error:
            if not isinstance(error.__context__, av.error.InvalidDataError | CorruptError):
                raise
            self._look_again(error)

    def remarks(self) -> list[str]:
        """Return the notes, with those that only the frames tell."""
        told = [INTERLACED] if self._interlaced else []
        return super().remarks() + told + ([DURATIONS] if self.uneven else [])

    def _look(self) -> None:
        """Read the facts from the container and the first frame."""
        with self.open() as container:
            stream = self.stream(container)
            self._promise = promised(self.path, container, stream)
            lead = Lead()
            with closing(self.decoded(container, stream, lead)) as frames:
                first = next(frames, None)
            if first is None:
                raise self._refusal(0, "the decoder returns none", stream)
            try:
                self._turns = self._orientation(first)
                self._read_facts(container, stream, first)
            except PYAV_ERRORS as error:
                raise self.damage(0, _reason(error)) from None
            if self._cut or lead.is_cut(first):
                self.notes.append("begins at its first key frame: what is stored before cannot be decoded")

    def _look_again(self, damage: BadInputError) -> None:
        """Look as at a file that was cut; `damage` is raised if that does not help."""
        self._cut = True
        try:
            self._look()
        except BadInputError:
            raise damage from damage.__context__

    def _read_facts(self, container: Any, stream: Any, first: Any) -> None:
        self.codec = stream.codec_context.name
        self.notes += which_stream(video_streams(container), stream, self.reading.stream)
        self.native_channels = 1 if _is_grey(first) else 3
        self.height, self.width = self.to_image(first).shape[:2]
        self.native_fps = self._rate(stream)
        if self.levels.ends is not None and first.format.name not in DEEP:
            raise BadInputError(self.path, "a range is for images, arrays and grey videos of 16 bits", "omit it")
        bits = max(part.bits for part in first.format.components)
        if bits > 8 and first.format.name not in DEEP:  # of those `levels` tells
            self.notes.append(f"its {bits} bits become 8")
        ratio = stream.sample_aspect_ratio
        if ratio and ratio != 1:
            self.notes.append(f"pixels are not square (sample aspect ratio {ratio}); they are kept as stored")
        self.duration = container.duration / 1e6 if container.duration else None

    def _rate(self, stream: Any) -> float:
        measured, container = stream.average_rate, stream.container.format.name
        silent = container in RAW and not stream.codec_context.framerate  # FFmpeg's guess, which is 25 too
        if measured and not silent and 0 < measured <= FASTEST and measured != CLOCK:
            return float(measured)
        for rate in (stream.guessed_rate, stream.base_rate):
            if rate and not silent and 0.01 <= rate < CLOCK:
                return float(rate)
        self.notes.append(f"the file states no frame rate: {DEFAULT_FPS:g} frames/s is assumed")
        return DEFAULT_FPS

    def open(self) -> Any:
        """Return an open PyAV container; BadInputError if FFmpeg finds no media in the file."""
        try:
            wait = (self.limits.seconds, self.limits.seconds)
            name = f"file:{self.path.absolute()}"  # a plain name could look like an option or a URL
            return av.open(name, options=OPTIONS, metadata_errors="replace", timeout=wait)
        except MemoryError:
            raise BadInputError(self.path, "opening it takes more memory than is available") from None
        except PYAV_ERRORS as error:
            raise BadInputError(self.path, f"cannot be opened as a video ({_reason(error)})") from None

    def stream(self, container: Any) -> Any:
        """Return the stream whose frames are read, set to report damage instead of hiding it."""
        videos = video_streams(container)
        if not videos:
            sound = " (it has sound only)" if container.streams.audio else ""
            raise BadInputError(self.path, f"it has no video stream{sound}")
        stream = chosen_stream(self.path, videos, self.reading.stream)
        context = stream.codec_context
        if context is None:
            raise BadInputError(self.path, "FFmpeg has no decoder for its codec")
        self.limits.check_size(self.path, context.height or 1, context.width or 1)
        context.options = {"err_detect": "explode", "max_pixels": str(self.limits.pixels)}
        big = context.height * context.width > 2**22
        # of a cut file one thread, or the errors of its first packets come with those after them, and never end
        stream.thread_type, context.thread_count = "AUTO", 1 if big or self._cut else 2
        return stream

    def decoded(self, container: Any, stream: Any, lead: Lead | None = None) -> Generator[Any, None, None]:
        """Yield decoded PyAV frames from the container's position; damage and stalls are BadInputErrors.

        `lead` is told of the packets before the first frame.
        """
        number, packets, clock = 0, 0, time.monotonic()
        lead = lead or Lead()
        try:
            for packet in container.demux(stream):
                for frame in packet.decode() if number else lead.decode(packet, self._cut):
                    if frame.is_corrupt:
                        raise CorruptError("the decoder marks it as corrupt")
                    self.limits.check_size(self.path, frame.height, frame.width)
                    self._interlaced = self._interlaced or bool(frame.interlaced_frame)
                    yield frame
                    number, packets, clock = number + 1, 0, time.monotonic()
                packets += 1
                if packets > self.limits.packets:
                    raise ValueError(f"no frame within {packets} packets")
                if packets > DELAY and time.monotonic() - clock > self.limits.seconds:
                    raise TimeoutError(f"no frame within {self.limits.seconds:g} seconds")
        except BadInputError:
            raise
        except PYAV_ERRORS as error:
            raise self._refusal(number, _reason(error), stream) from None

    def decode(self, start: int = 0) -> Generator[Image, None, None]:
        """Yield every frame from number `start` as uint8 (H, W, C), upright; earlier ones are decoded and dropped."""
        number, frame, stamps = -1, None, list[int | None]()
        with self.open() as container, closing(self.decoded(container, self.stream(container))) as frames:
            for number, frame in enumerate(frames):
                self.check_count(number)
                stamps.append(frame.pts)
                if number >= start:
                    yield self.image(frame, number)
        self.native_count = number + 1
        self.uneven = is_uneven(stamps)
        self.check_end(self.native_count, frame)

    def check_end(self, count: int | None, last: Any) -> None:
        """Note it if the data end before the video does: `last` is the last frame, of `count` (None: not counted)."""
        if last is None or last.pts is None:
            return
        end = float((last.pts + (last.duration or 0)) * last.time_base)
        if count == 1 and not last.duration:  # the only frame, of no stated duration, is shown until the stated end
            end = max(end, self._promise.seconds or 0.0)
        self.missing = self._promise.shortfall(count, end, self.native_fps, self.open)
        if self.missing and self.missing not in self.notes:
            self.notes.append(self.missing)

    def image(self, frame: Any, number: int) -> Image:
        """Return frame `number` as uint8 (H, W, C), upright; BadInputError if its size is not the first frame's."""
        self.check_same(frame, number)
        try:
            return self.to_image(frame)
        except PYAV_ERRORS as error:
            raise self.damage(number, _reason(error)) from None

    def to_image(self, frame: Any) -> Image:
        """Return a PyAV frame as uint8 (H, W, C), upright, alpha over black."""
        grey = self.native_channels == 1
        if frame.format.name in DEEP:
            return self._upright(self._of_deep(frame)[..., None])
        if any(part.is_alpha for part in frame.format.components):
            image = frame.to_ndarray(format="rgba")
            self.levels.see_alpha(image[..., -1])
            image = over_black(image)
            image = image[..., :1] if grey else image
        else:
            image = frame.to_ndarray(format="gray" if grey else "rgb24")
        return self._upright(image.reshape(frame.height, frame.width, -1))

    def _of_deep(self, frame: Any) -> NDArray[np.uint8]:
        """Return a grey frame of 16 bits as uint8 (H, W)."""
        values = frame.to_ndarray()
        self.levels.see(values, 65535)
        return np.asarray(frame.to_ndarray(format="gray") if self.levels.ends is None else self.levels.scaled(values))

    def _upright(self, image: Image) -> Image:
        transpose, rows, columns = self._turns
        image = image.transpose(1, 0, 2) if transpose else image
        image = image[::-1] if rows else image
        image = image[:, ::-1] if columns else image
        return np.ascontiguousarray(image) if any(self._turns) else image

    def _orientation(self, frame: Any) -> tuple[bool, bool, bool]:
        """Return how frames are rotated, from the display matrix: x' = a x + c y, y' = b x + d y (16.16)."""
        a, b, c, d = display_matrix(frame)
        unit = 2**16
        if b == c == 0 and abs(a) == abs(d) == unit:
            return False, bool(d < 0), bool(a < 0)
        if a == d == 0 and abs(b) == abs(c) == unit:
            return True, bool(b < 0), bool(c < 0)
        self.notes.append("its rotation is not a multiple of 90 degrees: frames are kept as stored")
        return False, False, False

    def tail(self, n: int) -> Iterator[Image]:
        """Yield at least the last `n` frames; long videos are read from near the end, with a margin of 10 s."""
        seconds = n / self.native_fps + 10
        number, kept = -1, deque[Any](maxlen=n)  # converted to images only once it is known which are the last
        with self.open() as container:
            stream = self.stream(container)
            if self.duration is not None and self.duration > 2 * seconds:
                container.seek(int((self.duration - seconds) * 1e6) + (container.start_time or 0))
            with closing(self.decoded(container, stream)) as frames:
                for number, frame in enumerate(frames):
                    self.check_count(number)
                    self.check_same(frame, number)
                    kept.append(frame)
            self.check_end(None, kept[-1] if kept else None)
            while kept:
                yield self.image(kept.popleft(), number - len(kept))

    def check_same(self, frame: Any, number: int) -> None:
        """Refuse frame `number` if its size or its colours are not the first frame's."""
        upright = (frame.width, frame.height) if self._turns[0] else (frame.height, frame.width)
        if upright != (self.height, self.width):
            size = f"{upright[1]}x{upright[0]}"
            raise self.damage(number, f"the size changes from {self.width}x{self.height} to {size}")
        if self.native_channels == 1 and not _is_grey(frame):
            raise self.damage(number, "the frames before it are grey and it has colour")

    def _refusal(self, number: int, what: str, stream: Any) -> BadInputError:
        if self._is_encrypted(stream):
            return BadInputError(self.path, "the video is encrypted", "decrypt it first")
        cut = self._promise.bytes_missing
        return self.damage(number, f"{what}: {CUT_SHORT}, {self._promise.size_in_words}" if cut else what)

    def _is_encrypted(self, stream: Any) -> bool:
        """Return whether the file marks its video as encrypted (ISO 23001-7: sample entry `encv`)."""
        if stream.codec_context.codec_tag == "encv":
            return True
        with self.path.open("rb") as file:
            head = file.read(2**20)
        return b"encv" in head and b"schm" in head


def _is_grey(frame: Any) -> bool:
    return bool(frame.format.name.startswith(("gray", "ya8", "ya16", "mono")))


def _reason(error: BaseException) -> str:
    if isinstance(error, av.FFmpegError) and error.strerror:
        return str(error.strerror).lower()
    return one_line(error)
