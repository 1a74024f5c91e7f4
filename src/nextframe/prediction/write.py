"""A prediction as a file: the bare frames, or an image that compares them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from nextframe.core.clip import as_uint8
from nextframe.core.files.whole_file import check_file, check_folder, whole_file
from nextframe.media.writer import check_ending, write_video
from nextframe.prediction.panels import comparison_animation, comparison_strip

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
    path = Path(path)
    several = len(prediction.samples) > 1
    if not path.suffix:
        _write_images(prediction, path)
    elif path.suffix.lower() == ".npy" and several:
        _write_stacked(prediction, path, with_context)
    elif path.suffix.lower() != ".npy" and (several or prediction.truth is not None):
        write_video(path, _compared(prediction, path, with_context), prediction.fps)
    else:
        frames = prediction.frames
        write_video(path, torch.cat([prediction.context, frames]) if with_context else frames, prediction.fps)
    return path


def check_output(path: Path) -> None:
    """Raise UserError for an output that is neither a known file type nor a folder, or that cannot be written."""
    if path.suffix or path.is_file():
        check_ending(path)
        check_file(path)
    else:
        check_folder(path)


def _write_images(prediction: Prediction, folder: Path) -> None:
    """Write each frame as an image of its own size; futures after the first are OUTPUT0-2.png, ...

    Images that an earlier, longer prediction left in the folder under such names are removed.
    """
    written = {write_video(path, frame.unsqueeze(0)) for path, frame in _images(prediction, folder)}
    stale = [path for path in folder.iterdir() if OWN_NAME.fullmatch(path.name) and path not in written]
    for path in stale:
        path.unlink()
    if stale:
        LOG.info("%s: %d images of an earlier prediction are removed", folder, len(stale))


def _images(prediction: Prediction, folder: Path) -> Iterator[tuple[Path, Tensor]]:
    """Yield each image (C, H, W) of a folder, with its path."""
    for number, frame in enumerate(prediction.context):
        yield folder / f"INPUT{number}.png", frame
    for sample, future in enumerate(prediction.samples, start=1):
        end = f"-{sample}.png" if sample > 1 else ".png"
        for number, frame in enumerate(future):
            yield folder / f"OUTPUT{number}{end}", frame
            if prediction.truth is not None:
                pair = torch.cat([prediction.truth[number], frame], dim=-1)  # side by side in one image
                yield folder / f"comparison{number}{end}", pair


def _compared(prediction: Prediction, path: Path, with_context: bool) -> Tensor:
    """Return the panels as frames (T, 3, H, W); a still image is one frame."""
    futures = prediction.futures
    context = prediction.context if with_context or prediction.truth is not None else None
    if path.suffix.lower() == ".png":
        return comparison_strip(context, prediction.truth, futures).unsqueeze(0)
    return comparison_animation(context, prediction.truth, futures)


def _write_stacked(prediction: Prediction, path: Path, with_context: bool) -> None:
    futures = prediction.samples  # (S, n, C, H, W)
    if with_context:
        futures = torch.cat([prediction.context.expand(len(futures), -1, -1, -1, -1), futures], dim=1)
    array = as_uint8(futures).permute(0, 1, 3, 4, 2).contiguous().numpy()  # (S, T, H, W, C)
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
