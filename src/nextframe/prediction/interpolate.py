"""Frames between the frames of a video: the same video at a higher frame rate."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from nextframe.checkpoint import DEFAULT_MIDDLE, model_name, resolve_model
from nextframe.core.clip import Task, as_float, as_uint8
from nextframe.core.device import resolve_device
from nextframe.core.errors import BadInputError, NotSupportedError, UserError
from nextframe.core.files.whole_file import check_file
from nextframe.media.reader import open_source
from nextframe.media.writer import check_ending, write_video
from nextframe.models.contract import Predictor
from nextframe.models.request import check_frames_asked
from nextframe.prediction.context import bridge_channels
from nextframe.prediction.predict import check_trained

MIDDLE = Task.interpolate()

LOG = logging.getLogger(__name__)


def interpolate(
    video: str | os.PathLike[str],
    output: str | os.PathLike[str],
    model: str | os.PathLike[str] | Predictor = DEFAULT_MIDDLE,
    factor: int = 2,
    *,
    device: str = "auto",
) -> Path:
    """Write `video` with `factor` times its frame rate: predicted frames between every two neighbours.

    The frames of the video are unchanged. Each prediction is from two neighbours, and only the finished
    frames are held, as uint8, until the file is written.

    Args:
        video: a video, an animation, a folder of images or an array file of at least two frames.
        output: the file; its ending decides the format.
        model: a model that predicts the frame between two: a baseline's name, a run or model folder, or a model.
        factor: 2, 4, 8...: beyond 2 it predicts between its own frames too.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        BadInputError: a video that cannot be read or has one frame, or an output that cannot be written.
        UserError: a factor that is not a power of two, an unknown ending, or a model for another task.
    """
    if factor < 2 or factor & (factor - 1):
        raise UserError(f"factor must be 2, 4, 8 or another power of two, not {factor}")
    check_ending(Path(output))
    check_file(Path(output))
    net, where = resolve_model(model), resolve_device(device)
    check_trained(net, MIDDLE, model_name(net))
    source = open_source(video)
    bridge_channels(source, net)
    _check_size(net, (source.height, source.width))
    frames: list[Tensor] = []
    for frame in between(source.frames(), net.to(where), factor, where):
        frames.append(frame)
        source.limits.check_bytes(source.path, len(frames) * frame.numel())
    if source.missing:
        LOG.warning("%s is %s", source.name, source.missing)
    if len(frames) < 2:
        raise BadInputError(video, "has only 1 frame, so there is no gap to fill", "give a longer video")
    return write_video(output, torch.stack(frames), source.fps * factor)


def _check_size(net: Predictor, size: tuple[int, int]) -> None:
    trained = net.trained.size if net.trained else None
    if not net.capabilities.any_size and trained not in (None, size):
        raise NotSupportedError(f"{model_name(net)} takes frames of {trained} only, the video's are {size}")


def between(frames: Iterable[Tensor], net: Predictor, factor: int, device: str = "cpu") -> Iterator[Tensor]:
    """Yield uint8 frames (C, H, W) with factor - 1 predicted ones between every two; only these are held."""
    before: Tensor | None = None
    for after in frames:
        if before is not None:
            yield from _inside(before, after, net, factor, device)
        yield after
        before = after


def _inside(before: Tensor, after: Tensor, net: Predictor, factor: int, device: str) -> Iterator[Tensor]:
    if factor == 1:
        return
    pair = as_float(torch.stack([before, after]).unsqueeze(0).to(device))  # (1, 2, C, H, W)
    check_frames_asked(net.capabilities, pair, 1, model_name(net))
    middle = as_uint8(net.predict(pair, 1, conditions=net.wanted(MIDDLE.told(pair))))[0, 0].cpu()
    yield from _inside(before, middle, net, factor // 2, device)
    yield middle
    yield from _inside(middle, after, net, factor // 2, device)
