"""Predicting the frames that come after the end of any video."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nextframe.checkpoint import DEFAULT_MODEL, model_name, resolve_model
from nextframe.core.clip import Task, as_float, as_uint8
from nextframe.core.device import resolve_device
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.seeds.seeding import torch_generator
from nextframe.media.fit import fit_frame
from nextframe.media.limits import Limits
from nextframe.media.memory import Held, as_frames
from nextframe.media.reader import open_source
from nextframe.media.source import Color, Source
from nextframe.models.contract import ModelOptions, Predictor, check_task
from nextframe.prediction.result import Prediction
from nextframe.prediction.tiles import Tiled

LOG = logging.getLogger(__name__)
FORECAST = Task.forecast(1, 1)
DEFAULT_CONTEXT = 10  # context frames of a model that takes any number of them
Size = tuple[int, int]


@dataclass(frozen=True)
class Drawing:
    """How futures are drawn, and where."""

    samples: int
    seed: int
    device: str
    options: ModelOptions
    name: str  # of the model


def predict(
    video: str | os.PathLike[str] | Tensor | NDArray[Any],
    model: str | os.PathLike[str] | Predictor | None = None,
    frames: int = 10,
    *,
    samples: int = 1,
    compare: bool = False,
    context: int | None = None,
    at: int | None = None,
    stride: int = 1,
    seed: int = 0,
    size: Size | None = None,
    tile: int | None = None,
    overlap: int = 32,
    device: str = "auto",
    one_step: bool = False,
    limits: Limits | None = None,
    options: Mapping[str, Any] | None = None,
    layout: str | None = None,
    fps: float | None = None,
) -> Prediction:
    """Predict the frames that come after the end of a video, or after any frame of it.

    Only the model's context frames are held in memory, however long the video is.

    Args:
        video: a video, an animation, a folder of images or an array file; or frames in memory: a tensor (T, C, H, W)
            or (B, T, C, H, W), an array (T, H, W, C) or (T, C, H, W), uint8 or floats in [0, 1].
        model: a baseline's name, a run or its folder, a model folder, user/name on the Hub, or a model; None: `motion`,
            a trained model that comes with the package.
        frames: how many to predict; need not be the trained horizon.
        samples: how many futures; a model without randomness gives the same one each time.
        compare: hold back the last `frames` frames, predict them, and return them as truth.
        context: number of context frames; None: as many as the model was trained with, at most those there are.
        at: the number of the first predicted frame, counted from 0; None: after the last (compare: the last ones).
        stride: take every stride-th frame.
        seed: of a model with randomness.
        size: (height, width) to scale and crop the frames to; None: the video's own size.
        tile: predict in tiles of this many pixels per side, which bounds the memory; None: whole frames.
        overlap: pixels that neighbouring tiles share.
        device: "auto", "cpu", "cuda" or "mps".
        one_step: predict each frame from the true ones before it, not from earlier predictions; implies compare.
        limits: what is decoded at most; None: the defaults.
        options: the model's own at prediction, such as {"temperature": 0.5}.
        layout: the axes of frames in memory, such as "TCHW"; None: told by the shape, see `as_frames`.
        fps: frames per second; None: the video's own, 10 for frames in memory.

    Returns:
        The prediction: `frames` are (frames, C, H, W) in [0, 1], of a batch (B, frames, C, H, W).

    Raises:
        BadInputError: a video that cannot be read or has too few frames; the line says how many are needed.
        UserError: a model that is unknown, untrained, or does not take such frames or options.
    """
    if frames < 1 or samples < 1 or (context is not None and context < 1):
        raise UserError(f"frames, samples and context must be at least 1, not {frames}, {samples}, {context}")
    net = resolve_model(DEFAULT_MODEL if model is None else model)
    name = model_name(net)
    check_task(net, FORECAST, name)
    chosen = net.read_options(options, name)
    compare = compare or one_step
    source = _opened(video, stride, limits, layout)
    bridge_channels(source, net)
    shown = _read(source, net, context, frames if compare else 0, at)
    if source.missing:
        LOG.warning("%s is %s", source.name, source.missing)
    if size is not None:
        shown = _fitted(shown, size)
    given, truth = _split(shown, frames) if compare else (shown, None)
    how = Drawing(samples, seed, device, chosen, name)
    run = net if tile is None else Tiled(net, tile, overlap)
    futures = _one_steps(run, as_float(shown), frames, how) if one_step else _futures(run, as_float(given), frames, how)
    rate = source.fps if fps is None else fps
    return Prediction(
        as_float(given), futures, truth if truth is None else as_float(truth), rate, source.name, how.name
    )


def _opened(
    video: str | os.PathLike[str] | Tensor | NDArray[Any], stride: int, limits: Limits | None, layout: str | None
) -> Source | Held:
    if isinstance(video, str | os.PathLike):
        return open_source(video, stride=stride, limits=limits, layout=layout)
    return Held(as_frames(video, layout), stride=stride)


def _fitted(shown: Tensor, size: Size) -> Tensor:
    """Return frames (..., C, H, W) scaled and cropped to `size`, as uint8."""
    frames = as_uint8(shown).flatten(0, -4)
    return torch.stack([fit_frame(frame, size, "crop") for frame in frames]).reshape(*shown.shape[:-2], *size)


def _split(shown: Tensor, kept_back: int) -> tuple[Tensor, Tensor]:
    """Cut (..., T, C, H, W) into context and the last `kept_back` frames."""
    given = shown.shape[-4] - kept_back
    return shown.narrow(-4, 0, given), shown.narrow(-4, given, kept_back)


def _one_steps(net: Predictor, shown: Tensor, frames: int, how: Drawing) -> Tensor:
    """Predict each of the last `frames` of (..., T, C, H, W) from as many true frames before it as the first has."""
    given = shown.shape[-4] - frames
    windows = (shown.narrow(-4, step, given) for step in range(frames))
    each = [_futures(net, window, 1, replace(how, seed=how.seed + step)) for step, window in enumerate(windows)]
    return torch.cat(each, dim=-4)


def _futures(net: Predictor, given: Tensor, frames: int, how: Drawing) -> Tensor:
    """Run the model on ([B,] T, C, H, W); return (S, [B,] n, C, H, W) on the CPU, in the size of what was given."""
    samples, options = how.samples, how.options
    if samples > 1 and not net.draws(options):
        LOG.warning("%s has no randomness: its %d samples are the same", _name(net), samples)
    where = resolve_device(how.device)
    own, working = (given.shape[-2], given.shape[-1]), _model_size(net, given)
    one_video = given.ndim == 4
    batch = _stretch(given.unsqueeze(0) if one_video else given, working).to(where)  # (B, T, C, H, W)
    generator = torch_generator(how.seed, "predict", device=where)
    future = net.to(where).predict(batch, frames, samples=samples, generator=generator, options=options).float().cpu()
    future = _stretch(future.reshape(samples, len(batch), frames, *future.shape[-3:]), own)
    return future.squeeze(1) if one_video else future


def _model_size(net: Predictor, given: Tensor) -> Size:
    """Return the size to predict at: the frames' own, unless the model takes only the one it was trained on."""
    own: Size = (given.shape[-2], given.shape[-1])
    trained = net.trained.size if net.trained else None
    if trained is None or trained == own:
        return own
    text = f"{_name(net)} was trained on {_times(trained)}, the video is {_times(own)}"
    if net.capabilities.any_size:
        LOG.warning("%s: predicting at the video's size; --size %s gives the trained one", text, _times(trained))
        return own
    LOG.warning("%s and it takes no other size: frames are stretched to it and back", text)
    return trained


def _name(net: Predictor) -> str:
    return model_name(net.model if isinstance(net, Tiled) else net)


def bridge_channels(source: Source | Held, net: Predictor) -> None:
    """Make the source give the channels that the model takes, and say so."""
    channels = net.capabilities.channels
    if channels is None or channels == source.channels:
        return
    color: Color | None = {1: "grey", 3: "rgb"}.get(channels)  # type: ignore[assignment]
    if color is None:
        raise UserError(f"{model_name(net)} takes {channels} channels: a video has 1 or 3")
    LOG.warning("%s takes %s frames: %s is predicted in %s", model_name(net), color, source.name, color)
    source.color = color


def _read(source: Source | Held, net: Predictor, asked: int | None, kept_back: int, at: int | None) -> Tensor:
    """Return context frames and then `kept_back` frames of truth, (..., T, C, H, W)."""
    can = net.capabilities
    usual = net.trained.context if net.trained else DEFAULT_CONTEXT
    want = asked or max(can.min_context, min(usual, can.max_context or usual))
    need = asked or can.min_context
    if at is None:
        shown = source.last(want + kept_back)
        given = shown.shape[-4] - kept_back
    else:
        given = min(at, want)
        shown = source.clip(at - given, given + kept_back) if given >= need else torch.empty(0)
    if given < need:
        raise _too_few(source.path, f"{model_name(net)} needs {need} context frame(s)", given, kept_back, at)
    if given < want:
        LOG.warning("%s: %s gets %d frames instead of %d", source.name, model_name(net), given, want)
    return shown


def _too_few(path: Path, need: str, given: int, kept_back: int, at: int | None) -> BadInputError:
    if at is not None:
        return BadInputError(path, f"there are {given} frames before frame {at}, {need}", "choose a later frame")
    have = f"has {given + kept_back} frame(s)"
    if kept_back:
        what = f"{have}, {need} and the comparison {kept_back} more"
        return BadInputError(path, what, "predict fewer frames, or give a longer video")
    return BadInputError(path, f"{have}, {need}", "give a longer video")


def _stretch(frames: Tensor, size: Size) -> Tensor:
    """Return frames (..., C, H, W) at `size`, without keeping their aspect ratio."""
    if tuple(frames.shape[-2:]) == size:
        return frames
    flat = frames.flatten(0, -4)
    flat = F.interpolate(flat, size=size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return flat.reshape(*frames.shape[:-2], *size)


def _times(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
