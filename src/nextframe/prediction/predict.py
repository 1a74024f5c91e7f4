"""Predicting the frames that come after the end of any video."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nextframe.checkpoint import DEFAULT_MODEL, model_name, resolve_model
from nextframe.core.clip import Task, as_float, as_uint8
from nextframe.core.device import resolve_device
from nextframe.core.errors import NextframeError, UserError
from nextframe.core.seeds.seeding import torch_generator
from nextframe.media.fit import fit_frame
from nextframe.media.limits import Limits
from nextframe.media.reading import DEFAULT, Reading
from nextframe.models.contract import ModelOptions, Predictor, Request, check_task, predicting, task_note
from nextframe.models.protocols import Confident
from nextframe.prediction.adapt import READS, Adaptation
from nextframe.prediction.adapt import adapt as adapt_model
from nextframe.prediction.context import bridge_channels, most_context, opened, read_frames, usual_context
from nextframe.prediction.memory import check_frames, check_model
from nextframe.prediction.result import Prediction
from nextframe.prediction.tiles import Tiled

LOG = logging.getLogger(__name__)
FORECAST = Task.forecast(1, 1)
Size = tuple[int, int]
Predicted = tuple[Tensor, Tensor | None]  # futures, and how sure each frame is if the model knows


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
    reading: Reading = DEFAULT,
    adapt: float | None = None,
) -> Prediction:
    """Predict the frames that come after the end of a video, or after any frame of it.

    Only the model's context frames are held in memory, however long the video is; with `adapt` up to 32.

    Args:
        video: a video, an animation, a folder of images or an array file; or frames in memory: a tensor (T, C, H, W)
            or (B, T, C, H, W), an array (T, H, W, C) or (T, C, H, W), uint8 or floats in [0, 1].
        model: a baseline's name, a run or its folder, a model folder, user/name on the Hub, or a model; None: `motion`,
            a trained model that comes with the package.
        frames: how many to predict; need not be the trained horizon.
        samples: how many futures, drawn by `seed`; a model without randomness gives the same one each time.
        compare: hold back the last `frames` frames, predict them, and return them as truth.
        context: number of context frames; None: as many as the model was trained with, at most those there are.
        at: the number of the first predicted frame, counted from 0; None: after the last (compare: the last ones).
        stride: take every stride-th frame.
        size: (height, width) to scale and crop the frames to; None: the video's own size.
        tile: predict in tiles of this many pixels per side, which bounds the memory; None: whole frames.
        overlap: pixels that neighbouring tiles share.
        device: "auto", "cpu", "cuda" or "mps".
        one_step: predict each frame from the true ones before it, not from earlier predictions; implies compare.
        limits: what is decoded at most, and the memory that the prediction may take; None: the defaults.
        options: the model's own at prediction, such as {"temperature": 0.5}.
        layout: the axes of frames in memory, such as "TCHW"; None: told by the shape, see `as_frames`.
        fps: frames per second; None: the video's own, 10 for frames in memory.
        reading: what a file leaves open, such as which of its values is white.
        adapt: seconds to first train a copy of the model on up to 32 frames; used if it predicts other ones better.

    Returns:
        The prediction: `frames` are (frames, C, H, W) in [0, 1], of a batch (B, frames, C, H, W).

    Raises:
        BadInputError: a video that cannot be read or has too few frames; the line says how many are needed.
        UserError: a model that is unknown, untrained, or does not take such frames or options.
    """
    if frames < 1 or samples < 1 or (context is not None and context < 1):
        raise UserError(f"frames, samples and context must be at least 1, not {frames}, {samples}, {context}")
    net = resolve_model(DEFAULT_MODEL if model is None else model)
    check_trained(net, FORECAST, name := model_name(net))
    how = Drawing(samples, seed, device, net.read_options(options, name), name)
    kept_back = frames if compare or one_step else 0
    source = bridge_channels(opened(video, stride, limits, layout, reading), net)
    most, limits = most_context(net, context), limits or Limits()
    held = check_frames(source, size, kept_back + (most if adapt is None else READS), samples * frames, limits)
    shown = _fitted(read_frames(source, net, context, kept_back, at, more=most if adapt is None else READS), size)
    net, done = _adapted(net, _split(shown, kept_back)[0], 1 if one_step else frames, adapt, context, how)
    shown = as_float(shown[..., -most - kept_back :, :, :, :])
    given, truth = _split(shown, kept_back)
    check_model(net, source, given, tile, held if resolve_device(device) == "cpu" else None, limits)
    run = net if tile is None else Tiled(net, tile, overlap)
    futures, sure = _one_steps(run, shown, frames, how) if one_step else _futures(run, given, frames, how)
    return Prediction(given, futures, truth, source.fps if fps is None else fps, source.name, how.name, sure, done)


def check_trained(net: Predictor, task: Task, name: str) -> None:
    """Refuse a model that cannot do `task`, and warn if it can but was not trained for it."""
    check_task(net, task, name)
    if note := task_note(net, task, name):
        LOG.warning("%s: another model may predict it better", note)


def _fitted(shown: Tensor, size: Size | None) -> Tensor:
    """Return frames (..., C, H, W) scaled and cropped to `size`, as uint8; None: as they are."""
    if size is None:
        return shown
    frames = as_uint8(shown).flatten(0, -4)
    return torch.stack([fit_frame(frame, size, "crop") for frame in frames]).reshape(*shown.shape[:-2], *size)


def _split(shown: Tensor, kept_back: int) -> tuple[Tensor, Tensor | None]:
    """Cut (..., T, C, H, W) into context and the last `kept_back` frames; None if there are none."""
    given = shown.shape[-4] - kept_back
    return shown.narrow(-4, 0, given), shown.narrow(-4, given, kept_back) if kept_back else None


def _adapted(
    net: Predictor, shown: Tensor, ahead: int, seconds: float | None, context: int | None, how: Drawing
) -> tuple[Predictor, Adaptation | None]:
    """Return `net`, or a copy that predicts the last of `shown` (T, C, H, W) better, and say what was done."""
    if seconds is None:
        return net, None
    if shown.ndim != 4:
        raise UserError("adapting takes one video at a time, not a batch")
    where = resolve_device(how.device)
    frames = _stretch(as_float(shown), _model_size(net, shown)) if not net.capabilities.any_size else shown
    net, done = adapt_model(
        net.to(where), frames.to(where), ahead, seconds, context=usual_context(net, context), seed=how.seed
    )
    LOG.info("%s", done)
    return net, done


def _one_steps(net: Predictor, shown: Tensor, frames: int, how: Drawing) -> Predicted:
    """Predict each of the last `frames` of (..., T, C, H, W) from as many true frames before it as the first has."""
    given = shown.shape[-4] - frames
    windows = (shown.narrow(-4, step, given) for step in range(frames))
    each = [_futures(net, window, 1, replace(how, seed=how.seed + step)) for step, window in enumerate(windows)]
    futures, sure = zip(*each, strict=True)
    return torch.cat(futures, dim=-4), None if sure[0] is None else torch.cat(sure, dim=-1)


def _futures(net: Predictor, given: Tensor, frames: int, how: Drawing) -> Predicted:
    """Run the model on ([B,] T, C, H, W); return (S, [B,] n, C, H, W) on the CPU, in the size of what was given."""
    samples, options = how.samples, how.options
    if samples > 1 and not net.draws(options):
        LOG.warning("%s has no randomness: its %d samples are the same", _name(net), samples)
    where = resolve_device(how.device)
    own, working = (given.shape[-2], given.shape[-1]), _model_size(net, given)
    one_video = given.ndim == 4
    batch = _stretch(given.unsqueeze(0) if one_video else given, working).to(where)  # (B, T, C, H, W)
    generator = torch_generator(how.seed, "predict", device=where)
    net, sure = net.to(where), None
    if isinstance(net, Confident) and not net.draws(options):
        future, sure = _confident(net, net.request(batch, frames, generator=generator, options=options))
        future = future.expand(samples, *future.shape)
    else:
        future = net.predict(batch, frames, samples=samples, generator=generator, options=options)
    if not bool(torch.isfinite(future).all()):
        raise NextframeError(f"{_name(net)} predicts values that are not finite: train it again, or take another copy")
    future = _stretch(future.float().cpu().reshape(samples, len(batch), frames, *future.shape[-3:]), own)
    if sure is not None:
        sure = sure[0] if one_video else sure
    return future.squeeze(1) if one_video else future, sure


def _confident(net: Predictor, request: Request) -> tuple[Tensor, Tensor]:
    """Return what a confident model predicts, (B, n, C, H, W), and how sure it is, (B, n), on the CPU."""
    assert isinstance(net, Confident)
    with predicting(net):
        future, sure = net.forecast_with_confidence(request)
    return future.clamp(0, 1), sure.float().cpu()


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


def _stretch(frames: Tensor, size: Size) -> Tensor:
    """Return frames (..., C, H, W) at `size`, without keeping their aspect ratio."""
    if tuple(frames.shape[-2:]) == size:
        return frames
    flat = frames.flatten(0, -4)
    flat = F.interpolate(flat, size=size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return flat.reshape(*frames.shape[:-2], *size)


def _times(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
