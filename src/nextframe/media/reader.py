"""Opens anything that has frames: the content of a file decides how it is read, not its name."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from nextframe.core.errors import BadInputError, UserError
from nextframe.media.limits import Limits
from nextframe.media.names import is_pattern
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.source import Color, Source
from nextframe.media.video.motion_jpeg import is_motion_jpeg

HEAD = 256
PNG, JPEG, BMP = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM"
PNM = re.compile(rb"P[1-6]\s")  # bits, grey and colours, each as text and as bytes
TIFFS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # and BigTIFF
MATLAB = "save its frames with numpy.save (scipy.io.loadmat or h5py reads them) and set data.options.layout"
REFUSED = (
    (b"version https://git-lfs", "this is a Git LFS pointer, not the file itself", "fetch it with git lfs pull"),
    (b"\x1f\x8b", "this is a gzip archive", "unpack it; idx files of digits go to --set data.options.digits=FILE"),
    (b"\0\0\x08\x03", "this is an idx file of single images, not a video", "give it to --set data.options.digits=FILE"),
    (b"\0\0\x08\x01", "this is an idx file of labels, not a video", ""),
    (b"\x89HDF\r\n", "this is an HDF5 file, not a video", "save its frames as .npy"),
    (b"MATLAB ", "this is a MATLAB file, not a video", MATLAB),
    (b"#EXTM3U", "this is a playlist, not a video", "give the video itself"),
)


def sniff(path: Path) -> str:
    """Return what the file holds by its first bytes: gif, apng, webp, avif, tiff, image, array, or video for the rest.

    Raises:
        BadInputError: empty files, pointers to files and other kinds of files known not to be videos.
    """
    if not path.is_file() and path.exists():
        raise BadInputError(path, "this is not a regular file", "give a file: a pipe or device may never end")
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
            if head.startswith(PNG):
                return "apng" if _is_apng(file) else "image"
    except OSError as error:
        raise BadInputError(path, f"cannot be read ({error.strerror})") from None
    if not head:
        raise BadInputError(path, "the file is empty")
    for magic, what, fix in REFUSED:
        if head.startswith(magic):
            raise BadInputError(path, what, fix)
    if b"annex/objects/" in head and head.isascii():
        raise BadInputError(path, "this is a git-annex pointer, not the file itself", "fetch it with git annex get")
    return _kind(head, path)


def _kind(head: bytes, path: Path) -> str:
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return "gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp" if head[12:16] == b"VP8X" and head[20] & 2 else "image"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"):
        return "avif"
    if head.startswith(TIFFS):
        return "tiff"  # of one page or many
    if head.startswith((b"\x93NUMPY", b"PK\x03\x04")):
        return "array"
    if head.startswith(JPEG):
        return "video" if is_motion_jpeg(path) else "image"
    return "image" if head.startswith(BMP) or PNM.match(head) else "video"


def _is_apng(file: BinaryIO) -> bool:
    """Return whether an animation control chunk comes before the image data of an open PNG."""
    file.seek(len(PNG))
    while len(header := file.read(8)) == 8:
        if header[4:] in (b"acTL", b"IDAT", b"IEND"):
            return header[4:] == b"acTL"
        file.seek(int.from_bytes(header[:4], "big") + 4, 1)
    return False


def open_source(
    path: str | PathLike[str],
    *,
    stride: int = 1,
    color: Color | None = None,
    limits: Limits | None = None,
    sequence: int = 0,
    layout: str | None = None,
    reading: Reading = DEFAULT,
) -> Source:
    """Open a video, animation, folder of images or array as a stream of frames.

    Args:
        path: the file or folder, or the images of a folder that "frames/a_*.png" stands for, * being their number;
            files are recognised by content.
        stride: take every stride-th frame.
        color: "grey" or "rgb"; None keeps what the source has.
        limits: what is decoded at most; None: the defaults.
        sequence: which sequence of an array file that holds many.
        layout: the axes of an array file, such as "TNHW"; None: guessed by `arrays.guess_layout`.
        reading: what else the files leave open.

    Raises:
        BadInputError: there is nothing, or nothing that can be read; the line says why.
    """
    path, limits = Path(path), limits or Limits()
    if layout is not None:
        reading = reading.model_copy(update={"layout": layout})
    if path.is_dir() or is_pattern(path):
        from nextframe.media.images import ImageFolder

        return ImageFolder(path, stride, color, limits, reading)
    if not path.exists():
        raise BadInputError(path, "there is no such file or folder")
    if not path.is_file():
        raise BadInputError(path, "this is neither a file nor a folder", "save it as a file first")
    return _open_file(path, sniff(path), (stride, color, limits, reading), sequence)


def _open_file(path: Path, kind: str, common: tuple[int, Color | None, Limits, Reading], sequence: int) -> Source:
    if kind == "array":
        from nextframe.media.arrays import ArraySource

        return ArraySource(path, *common, sequence)
    if kind == "video":
        from nextframe.media.video.decode import Video

        return Video(path, *common)
    if kind == "image":
        from nextframe.media.images import ImageFolder

        return ImageFolder(path, *common)
    if kind == "tiff":
        from nextframe.media.tiff.stack import Stack

        return Stack(path, *common)
    from nextframe.media.animation import Animation

    return Animation(path, kind, *common)


def read_video(
    path: str | PathLike[str],
    start: int = 0,
    frames: int | None = None,
    stride: int = 1,
    color: Color | None = None,
    size: tuple[int, int] | None = None,
) -> tuple[Tensor, float]:
    """Read frames of any source that `open_source` takes.

    Args:
        path: the file or folder.
        start: the first frame, counted at the stride.
        frames: how many; None: to the end.
        stride: take every stride-th frame.
        color: "grey" or "rgb"; None keeps what the source has.
        size: (height, width) to scale to, cropping the longer side equally at both ends; None: as stored.

    Returns:
        uint8 (T, C, H, W) and the frames per second at the stride.

    Raises:
        BadInputError: a file that cannot be read, damage among the frames, or more bytes than the limits allow.
        UserError: there are fewer frames than requested.
    """
    from nextframe.media.fit import check_size, fit_frame

    check_size(size)
    source = open_source(path, stride=stride, color=color)
    height, width = size or (source.height, source.width)
    taken: list[Tensor] = []
    for frame in source.frames(start, None if frames is None else start + frames):
        taken.append(frame if size is None else fit_frame(frame, size, "crop"))
        source.limits.check_bytes(path, len(taken) * source.channels * height * width)
    if not taken or (frames is not None and len(taken) < frames):
        asked = f"asked for {frames or 'the'} frames from {start}"
        raise UserError(f"{path}: {asked}, there are {len(taken)} from there on")
    return torch.stack(taken), source.fps
