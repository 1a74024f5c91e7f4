"""Predicting the frames that come after the end of any video, all at once or as they are asked for."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from nextframe.checkpoint import DEFAULT_MODEL, model_name, resolve_model
from nextframe.core.clip import Task, as_float, as_uint8
from nextframe.core.device import resolve_device
from nextframe.core.errors import BadInputError, UserError
from nextframe.layers.folding import folded
from nextframe.media.fit import check_size, fit_frame
from nextframe.media.limits import Limits
from nextframe.media.memory import Held
from nextframe.media.reading import DEFAULT, Reading
from nextframe.media.source import Source
from nextframe.models.contract import Predictor, check_task, task_note
from nextframe.prediction.adapt import BEYOND, READS, Adaptation
from nextframe.prediction.adapt import adapt as adapt_model
from nextframe.prediction.context import bridge_channels, most_context, opened, read_frames, usual_context
from nextframe.prediction.memory import Made, check_frames, check_model
from nextframe.prediction.past.trust import MOST, Past
from nextframe.prediction.result import Prediction
from nextframe.prediction.sizes.tiles import Tiled
from nextframe.prediction.stream import Drawing, Step, Stream, futures, one_steps

LOG = logging.getLogger(__name__)
FORECAST = Task.forecast(1, 1)
Size = tuple[int, int]


@dataclass(frozen=True)
class Asked:
    """What may be chosen of a prediction, as `predict` explains it."""

    samples: int = 1
    compare: bool = False
    context: int | None = None
    at: int | None = None
    stride: int = 1
    seed: int = 0
    size: Size | None = None
    tile: int | None = None
    overlap: int = 32
    device: str = "auto"
    one_step: bool = False
    limits: Limits | None = None
    options: Mapping[str, Any] | None = None
    layout: str | None = None
    fps: float | None = None
    reading: Reading = DEFAULT
    adapt: float | None = None
    fit: bool = False
    trust: bool = False  # whether the stream is to have what to measure the model on besides


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
    fit: bool = False,
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
        adapt: seconds to first train a copy of the model on up to 32 frames, or more if its context is as long; used if
            it predicts other ones better.
        fit: resize frames to the size of the model's training and back, see `fit_to_trained`.

    Returns:
        The prediction: `frames` are (frames, C, H, W) in [0, 1], of a batch (B, frames, C, H, W).

    Raises:
        BadInputError: a video that cannot be read or has too few frames; the line says how many are needed.
        UserError: a model that is unknown, untrained, or does not take such frames or options.
    """
    how = (samples, compare, context, at, stride, seed, size, tile, overlap)
    more = (device, one_step, limits, options, layout, fps, reading, adapt, fit)
    return Prediction.of(stream(video, model, frames, Asked(*how, *more)))  # in the order of the arguments


def stream(
    video: str | os.PathLike[str] | Tensor | NDArray[Any] | Source | Held,
    model: str | os.PathLike[str] | Predictor | None,
    frames: int,
    asked: Asked,
    output: Path | None = None,
) -> Stream:
    """Return what `predict` does, as a stream: a frame is predicted when it is asked for.

    Args:
        video: as in `predict`, or a file that was opened.
        model: as in `predict`.
        frames: how many to predict.
        asked: the rest of it.
        output: the file that it is for, whose ending says what is held on the way; None: all frames are.

    Raises:
        UserError: as `predict`; some of it when the first frame is asked for.
    """
    _check_numbers(frames, asked)
    net = resolve_model(DEFAULT_MODEL if model is None else model)
    check_trained(net, FORECAST, name := model_name(net))
    how = Drawing(asked.samples, asked.seed, asked.device, net.read_options(asked.options, name), name, asked.fit)
    kept_back = frames if asked.compare or asked.one_step else 0
    source = bridge_channels(opened(video, asked.stride, asked.limits, asked.layout, asked.reading), net)
    most, limits = most_context(net, asked.context), asked.limits or Limits()
    reads = most if asked.adapt is None else max(READS, most + BEYOND)
    made = Made.by(net, 1 if asked.one_step else frames, how.options, how.samples, output)
    held = check_frames(source, asked.size, reads, kept_back, made, limits)
    back = _steps_back(source, net, frames, asked, reads)
    shown = _fitted(_read(source, net, asked, kept_back, reads, back), asked.size)
    _say(net, shown, how)
    ahead = 1 if asked.one_step else frames
    net, done = _adapted(net, _split(shown, kept_back)[0], ahead, asked.adapt, asked.context, how)
    net = folded(net)
    given, truth = _split(shown[..., -most - kept_back :, :, :, :], kept_back)
    given = as_float(given)
    on_cpu = resolve_device(asked.device) == "cpu"
    needed = check_model(net, source, how.working(net, given).into(given), asked.tile, held if on_cpu else None, limits)
    run = net if asked.tile is None else Tiled(net, asked.tile, asked.overlap)
    steps = one_steps(run, given, truth, how) if asked.one_step else futures(run, given, frames, how)
    rate = source.fps if asked.fps is None else asked.fps
    with_truth = map(_with_truth, steps, repeat(None) if truth is None else truth.unbind(-4))
    past = _past(run, shown, frames, asked, source.name, how, limits.bytes - needed) if back else None
    return Stream(given, with_truth, frames, how.samples, truth is not None, rate, source.name, how.name, done, past)


def _check_numbers(frames: int, asked: Asked) -> None:
    if frames < 1 or asked.samples < 1 or (asked.context is not None and asked.context < 1):
        numbers = f"{frames}, {asked.samples}, {asked.context}"
        raise UserError(f"frames, samples and context must be at least 1, not {numbers}")
    if asked.fps is not None and not 0 < asked.fps < math.inf:
        raise UserError(f"fps must be a number above 0, not {asked.fps}")
    check_size(asked.size)


def _steps_back(source: Source | Held, net: Predictor, frames: int, asked: Asked, reads: int) -> int:
    """Return how many frames more to read, for measuring the model on: 0 if that is not wanted, or takes too much.

    It says nothing new of frames whose truth is known, of a model that has trained on them, or of one that repeats the
    last frame.
    """
    repeats = net.capabilities.reads == 1 and not net.capabilities.trainable  # what it would be compared with
    if not asked.trust or asked.compare or asked.one_step or asked.adapt is not None or repeats:
        return 0
    back = min(frames, MOST)
    held = ((reads + back - 1) * source.stride + 1) * source.channels * source.height * source.width
    return back if held <= (asked.limits or Limits()).bytes else 0


def _read(source: Source | Held, net: Predictor, asked: Asked, kept_back: int, reads: int, back: int) -> Tensor:
    """Read context frames and truth, and `back` frames more before them, unless these cannot be read."""
    try:
        return read_frames(source, net, asked.context, kept_back, asked.at, more=reads + back)
    except BadInputError:
        if not back:
            raise
        return read_frames(source, net, asked.context, kept_back, asked.at, more=reads)


def _past(net: Predictor, shown: Tensor, frames: int, asked: Asked, name: str, how: Drawing, room: int) -> Past | None:
    """Return what to measure the model on, if there is enough of it and it takes at most `room` bytes."""
    usual = usual_context(net, asked.context)
    contexts = min(usual, net.capabilities.reads or usual), most_context(net, asked.context)
    past = Past.of(net, shown, frames, contexts, name, how)
    return past if past is not None and past.bytes <= room else None


def _with_truth(step: Step, truth: Tensor | None) -> Step:
    return step._replace(truth=truth)


def check_trained(net: Predictor, task: Task, name: str) -> None:
    """Refuse a model that cannot do `task`, and warn if it can but was not trained for it."""
    check_task(net, task, name)
    if note := task_note(net, task, name):
        LOG.warning("%s: another model may predict it better", note)


def _say(net: Predictor, shown: Tensor, how: Drawing) -> None:
    """Say what may surprise of a prediction from frames (..., C, H, W): futures without randomness, another size."""
    if how.samples > 1 and not net.draws(how.options):
        LOG.warning("%s has no randomness: its %d samples are the same", how.name, how.samples)
    note = how.working(net, shown).note(how.name)
    if note is None and how.fit and (net.trained is None or net.trained.size is None):
        LOG.warning("%s was not trained at one size: nothing is resized", how.name)
    elif note is not None and how.fit:
        LOG.info("%s", note)
    elif note is not None:
        LOG.warning("%s; --fit (in Python fit=True) %s", note, _what_fit_does(net))


def _what_fit_does(net: Predictor) -> str:
    return "scales to the trained size and back" if net.capabilities.any_size else "keeps their aspect ratio"


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
    frames = how.working(net, shown).into(shown)
    net, done = adapt_model(
        net.to(where), frames.to(where), ahead, seconds, context=usual_context(net, context), seed=how.seed
    )
    LOG.info("%s", done)
    return net, done
