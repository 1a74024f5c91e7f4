"""A prediction as a file: the bare frames, or an image that compares them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import as_float, as_uint8
from nextframe.core.files.whole_file import check_file, check_folder, whole_file, whole_files
from nextframe.media.writer import check_ending, write_video
from nextframe.prediction.shown.panels import animated, comparison_strip
from nextframe.prediction.stream import Stream

LOG = logging.getLogger(__name__)
OWN_NAME = re.compile(r"(INPUT\d+|(OUTPUT|comparison)\d+(-\d+)?)\.png")

if TYPE_CHECKING:
    from nextframe.prediction.result import Prediction


def write_prediction(prediction: Prediction, path: str | os.PathLike[str], *, with_context: bool = False) -> Path:
    """Write a prediction as .gif, .mp4, .png or .npy.

    One future without truth: exactly the predicted frames, in their own size and at the video's fps. With truth or
    several futures, images are panels with names and coloured borders: a .png has rows context, truth and
    prediction over time; a .gif or .mp4 has truth left and predictions right, playing the context first. A .npy has
    the bare frames only, uint8 (T, H, W[, C]) or, of several futures, (S, T, H, W, C). A path without ending is a
    folder: INPUT0.png, ... are the context, OUTPUT0.png, ... the predicted frames, and with truth comparison0.png, ...
    are truth and prediction side by side.

    Args:
        prediction: what `predict` returned.
        path: where; the ending decides the format.
        with_context: put the context before the predicted frames.

    Raises:
        UserError: an unknown ending, or a folder that cannot be written to.
    """
    return write_stream(prediction.stream(), path, with_context=with_context)


def write_stream(stream: Stream, path: str | os.PathLike[str], *, with_context: bool = False) -> Path:
    """Write a prediction of one video as it is made, as `write_prediction` does; what fails leaves nothing.

    Frames are held only where a format needs all.
    """
    path = Path(path)
    context = stream.context if with_context else stream.context[:0]
    if not path.suffix:
        _write_images(stream, path)
    elif path.suffix.lower() == ".npy" and stream.samples > 1:
        _write_stacked(stream, path, context)
    elif path.suffix.lower() != ".npy" and (stream.samples > 1 or stream.compared):
        write_video(path, _compared(stream, path, with_context), stream.fps)
    else:
        write_video(path, chain(context, (step.futures[0] for step in stream)), stream.fps)
    return path


def check_output(path: Path) -> None:
    """Raise UserError for an output that is neither a known file type nor a folder, or that cannot be written."""
    if path.suffix or path.is_file():
        check_ending(path)
        check_file(path)
    else:
        check_folder(path)


def _write_images(stream: Stream, folder: Path) -> None:
    """Write each frame as an image of its own size; futures after the first are OUTPUT0-2.png, ...

    They appear once all are there, and images that an earlier, longer prediction left under such names are removed.
    """
    images = _images(stream)
    first = next(images)  # before a folder is made
    with whole_files(folder) as temporary:
        written = {write_video(temporary / name, [frame]).name for name, frame in chain([first], images)}
    stale = [path for path in folder.iterdir() if OWN_NAME.fullmatch(path.name) and path.name not in written]
    for path in stale:
        path.unlink()
    if stale:
        LOG.info("%s: %d images of an earlier prediction are removed", folder, len(stale))


def _images(stream: Stream) -> Iterator[tuple[str, Tensor]]:
    """Yield each image (C, H, W) of a folder, with its name."""
    for number, frame in enumerate(stream.context):
        yield f"INPUT{number}.png", frame
    for number, step in enumerate(stream):
        for sample, frame in enumerate(step.futures, start=1):
            end = f"{number}-{sample}.png" if sample > 1 else f"{number}.png"
            yield f"OUTPUT{end}", frame
            if step.truth is not None:
                pair = torch.cat([as_float(step.truth), frame], dim=-1)  # side by side in one image
                yield f"comparison{end}", pair


def _compared(stream: Stream, path: Path, with_context: bool) -> Iterator[Tensor]:
    """Yield the panels as frames (3, H, W); a still image is one frame."""
    context = stream.context if with_context or stream.compared else None
    if path.suffix.lower() != ".png":
        names = ["truth", *stream.names] if stream.compared else stream.names
        yield from animated(context, _shown(stream), names, stream.count, compared=stream.compared)
        return
    rows = [torch.stack(row) for row in zip(*_shown(stream), strict=True)]
    truth = rows.pop(0) if stream.compared else None
    yield comparison_strip(context, truth, dict(zip(stream.names, rows, strict=True)))


def _shown(stream: Stream) -> Iterator[list[Tensor]]:
    """Yield the truth, if it is known, and the futures at each time, uint8 (C, H, W)."""
    for step in stream:
        yield [as_uint8(frame) for frame in ([] if step.truth is None else [step.truth]) + list(step.futures)]


def _write_stacked(stream: Stream, path: Path, context: Tensor) -> None:
    futures = torch.stack([as_uint8(step.futures) for step in stream], dim=1)  # (S, n, C, H, W)
    given = as_uint8(context).expand(len(futures), *context.shape)
    array = torch.cat([given, futures], dim=1).permute(0, 1, 3, 4, 2).contiguous().numpy()  # (S, T, H, W, C)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
