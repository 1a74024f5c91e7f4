"""Frames between the frames of a video: the same video at a higher frame rate, written as it is read."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from nextframe.checkpoint import DEFAULT_MIDDLE, model_name, resolve_model
from nextframe.core.clip import Task, as_float, as_uint8
from nextframe.core.device import resolve_device
from nextframe.core.errors import BadInputError, NotSupportedError, UserError
from nextframe.core.files.whole_file import check_apart, check_file
from nextframe.media.limits import Limits
from nextframe.media.reader import open_source
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.source import Source
from nextframe.media.video.cuts import CutFinder, thumbnail
from nextframe.media.writer import check_ending, write_video
from nextframe.models.contract import Predictor
from nextframe.models.request import check_frames_asked
from nextframe.prediction.context import bridge_channels
from nextframe.prediction.memory import check_middles, check_model, check_strip, needs_all
from nextframe.prediction.predict import check_trained
from nextframe.prediction.shown.show import VideoFile

MIDDLE = Task.interpolate()

LOG = logging.getLogger(__name__)

FEWEST = 4  # frames in which a cut can be told from large motion


def interpolate(
    video: str | os.PathLike[str],
    output: str | os.PathLike[str],
    model: str | os.PathLike[str] | Predictor = DEFAULT_MIDDLE,
    factor: int = 2,
    *,
    device: str = "auto",
    reading: Reading = DEFAULT,
    limits: Limits | None = None,
) -> VideoFile:
    """Write `video` with `factor` times its frame rate: predicted frames between every two neighbours.

    The frames of the video are unchanged. At a scene cut the frame before it is held, not mixed with the next one; the
    sound is copied if the output is an mp4. Frames of different durations become equally long, with a warning. A GIF
    shows its last frame as long as the video does, so both take the same time to a hundredth of a second, if no frame
    is shown for less than two of them. Each prediction is from two neighbours, and is written before the next two are
    read; a .png alone holds all frames.

    Args:
        video: a video, an animation, a folder of images or an array file of at least two frames.
        output: the file; its ending decides the format.
        model: a model that predicts the frame between two: a baseline's name, a run or model folder, or a model.
        factor: 2, 4, 8...: beyond 2 it predicts between its own frames too.
        device: "auto", "cpu", "cuda" or "mps".
        reading: what a file leaves open, such as which of its values is white.
        limits: what is decoded at most, and the memory that it may take; None: the defaults.

    Returns:
        The file, which a notebook plays.

    Raises:
        BadInputError: a video that cannot be read or has one frame, or an output that cannot be written.
        UserError: a factor that is not a power of two, an unknown ending, or a model for another task.
    """
    if factor < 2 or factor & (factor - 1):
        raise UserError(f"factor must be 2, 4, 8 or another power of two, not {factor}")
    check_ending(Path(output))
    check_file(Path(output))
    check_apart(Path(output), video)
    net, where = resolve_model(model), resolve_device(device)
    check_trained(net, MIDDLE, model_name(net))
    source = open_source(video, reading=reading, limits=limits)
    bridge_channels(source, net)
    _check_size(net, (source.height, source.width))
    given = torch.zeros(1).expand(2, source.channels, source.height, source.width)
    held = check_middles(source, factor, Path(output), source.limits)
    check_model(net, source, given, None, held if where == "cpu" else None, source.limits, MIDDLE)
    cuts = _cuts_of(source)
    if source.counted() < 2:
        raise BadInputError(video, "has only 1 frame, so there is no gap to fill", "give a longer video")
    if needs_all(Path(output), 1):
        check_strip(source, (source.counted() - 1) * factor + 1, source.limits)
    frames = between(source.frames(), net.to(where), factor, where, cuts)
    written = write_video(output, frames, source.fps * factor, sound_of=source.path, hold=1 / source.fps)
    if source.missing:
        LOG.warning("%s is %s", source.name, source.missing)
    if source.uneven:
        LOG.warning("%s: its frames have different durations, those of the output have one", source.name)
    return VideoFile(written)


def _cuts_of(source: Source) -> frozenset[int]:
    """Return the numbers of the frames that begin a new shot; decodes the whole source.

    Of two or three frames none: there is no usual change to compare with, so two images are always mixed.
    """
    finder, frames = CutFinder(), 0
    for image in source.decode():
        finder.add(thumbnail(image))
        frames += 1
    return frozenset(finder.cuts().tolist()) if frames >= FEWEST else frozenset()


def _check_size(net: Predictor, size: tuple[int, int]) -> None:
    trained = net.trained.size if net.trained else None
    if not net.capabilities.any_size and trained not in (None, size):
        raise NotSupportedError(f"{model_name(net)} takes frames of {trained} only, the video's are {size}")


def between(
    frames: Iterable[Tensor],
    net: Predictor,
    factor: int,
    device: str = "cpu",
    cuts: Collection[int] = (),
) -> Iterator[Tensor]:
    """Yield uint8 frames (C, H, W) with factor - 1 predicted ones between every two; only these are held.

    Before a frame whose number is in `cuts` the last frame is repeated.
    """
    before: Tensor | None = None
    for number, after in enumerate(frames):
        if before is not None and number in cuts:
            yield from (before for _ in range(factor - 1))
        elif before is not None:
            yield from _inside(before, after, net, factor, device)
        yield after
        before = after


def _inside(before: Tensor, after: Tensor, net: Predictor, factor: int, device: str) -> Iterator[Tensor]:
    if factor == 1:
        return
    middle = _middle(before, after, net, device)
    yield from _inside(before, middle, net, factor // 2, device)
    yield middle
    yield from _inside(middle, after, net, factor // 2, device)


def _middle(before: Tensor, after: Tensor, net: Predictor, device: str) -> Tensor:
    """Return the frame between two, uint8 (C, H, W) all."""
    pair = as_float(torch.stack([before, after]).unsqueeze(0).to(device))  # (1, 2, C, H, W)
    check_frames_asked(net.capabilities, pair, 1, model_name(net))
    return as_uint8(net.predict(pair, 1, conditions=net.wanted(MIDDLE.told(pair))))[0, 0].cpu()
