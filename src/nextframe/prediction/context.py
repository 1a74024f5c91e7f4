"""What a model is given of a video: how many of its last frames, and in which channels."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.checkpoint import model_name
from nextframe.core.errors import BadInputError, UserError
from nextframe.media.limits import Limits
from nextframe.media.memory import Held, as_frames
from nextframe.media.reader import open_source
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.source import Color, Source
from nextframe.models.contract import Predictor

LOG = logging.getLogger(__name__)
DEFAULT_CONTEXT = 10  # context frames of a model that takes any number of them


def opened(
    video: str | os.PathLike[str] | Tensor | NDArray[Any] | Source | Held,
    stride: int,
    limits: Limits | None,
    layout: str | None,
    reading: Reading = DEFAULT,
) -> Source | Held:
    """Return a path, or frames in memory, as something to read frames from; `reading` is of paths.

    What is opened already is returned as it is.
    """
    if isinstance(video, Source | Held):
        return video
    if isinstance(video, str | os.PathLike):
        source = open_source(video, stride=stride, limits=limits, layout=layout, reading=reading)
        if source.sequences > 1:
            LOG.warning("%s: the file has %d sequences, the first is read", source.name, source.sequences)
        return source
    return Held(as_frames(video, layout), stride=stride)


def bridge_channels(source: Source | Held, net: Predictor) -> Source | Held:
    """Make the source give the channels that the model takes, say so, and return it."""
    channels = net.capabilities.channels
    if channels is None or channels == source.channels:
        return source
    color: Color | None = {1: "grey", 3: "rgb"}.get(channels)  # type: ignore[assignment]
    if color is None:
        raise UserError(f"{model_name(net)} takes {channels} channels: a video has 1 or 3")
    LOG.warning("%s takes %s frames: %s is predicted in %s", model_name(net), color, source.name, color)
    source.color = color
    return source


def usual_context(net: Predictor, asked: int | None) -> int:
    """Return how many context frames `net` gets if there are enough: `asked`, or as many as it was trained with."""
    can = net.capabilities
    usual = net.trained.context if net.trained else DEFAULT_CONTEXT
    return asked or max(can.min_context, min(usual, can.max_context or usual))


def most_context(net: Predictor, asked: int | None) -> int:
    """Return how many context frames `net` has a use for: `asked`, or `usual_context` and all that it `reads`."""
    return asked or max(usual_context(net, asked), net.capabilities.reads or 0)


def read_frames(
    source: Source | Held, net: Predictor, asked: int | None, kept_back: int, at: int | None, more: int = 0
) -> Tensor:
    """Return context frames and then `kept_back` frames of truth, (..., T, C, H, W).

    Args:
        source: where they are read.
        net: the model that they are for.
        asked: how many context frames; None: as many as is usual for the model, or fewer if it takes fewer.
        kept_back: how many frames of truth.
        at: the number of the first predicted frame; None: those frames are the last.
        more: return up to this many context frames, though the model gets fewer.

    Raises:
        BadInputError: there are too few frames.
    """
    want = usual_context(net, asked)
    need, reads = asked or net.capabilities.min_context, max(want, more)
    if at is None:
        shown = source.last(reads + kept_back)
        given = shown.shape[-4] - kept_back
    else:
        given = min(at, reads)
        shown = _up_to(source, at, given, kept_back) if given >= need else torch.empty(0)
    if given < need:
        raise _too_few(source.path, f"{model_name(net)} needs {need} context frame(s)", given, kept_back, at)
    if given < min(want, net.capabilities.reads or want):  # what it does not look at is not missed
        LOG.warning("%s: %s gets %d frames instead of %d", source.name, model_name(net), given, want)
    if source.missing:
        LOG.warning("%s is %s", source.name, source.missing)
    return shown


def _up_to(source: Source | Held, at: int, given: int, kept_back: int) -> Tensor:
    """Return `given` frames before frame `at`, and `kept_back` from it on."""
    try:
        return source.clip(at - given, given + kept_back)
    except BadInputError:
        raise
    except UserError as error:  # there are not so many
        what = str(error).removeprefix(f"{source.path}: ")
        raise BadInputError(source.path, what, f"choose an earlier frame than {at}") from None


def _too_few(path: Path, need: str, given: int, kept_back: int, at: int | None) -> BadInputError:
    if at is not None:
        return BadInputError(path, f"there are {given} frames before frame {at}, {need}", "choose a later frame")
    have = f"has {given + kept_back} frame(s)"
    if kept_back:
        what = f"{have}, {need} and the comparison {kept_back} more"
        return BadInputError(path, what, "predict fewer frames, or give a longer video")
    return BadInputError(path, f"{have}, {need}", "give a longer video")
