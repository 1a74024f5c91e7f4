"""A short fine-tune of a model on the frames that are given, kept only if it helps on those that it did not train on.

Test-time adaptation, as for frame interpolation by Reda et al. (2019, arXiv 1906.05928) and Choi et al. (2020, arXiv
2004.02716). Trained for one step ahead, a model gets worse further ahead: it trains for as many as are asked for.
"""

from __future__ import annotations

import time
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from nextframe.checkpoint import model_name
from nextframe.core.clip import Clip, Task, as_float
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.core.seeds.noise import clip_noise
from nextframe.core.seeds.seeding import numpy_generator, torch_generator
from nextframe.metrics import METRICS
from nextframe.metrics.pixel import CAP
from nextframe.models.contract import Predictor, Stage

READS = 32  # frames at most that it is given
BEYOND = 3  # frames at least besides the context: two ahead to train on, one to keep back
RATE = 1 / 25  # of the rate that the model was trained at
SIDE, VIEW = 128, 192  # pixels along a side at most, of what is trained on and of what is measured
EVERY = 4  # steps from one measurement to the next
PATIENCE = 3  # measurements without a gain that end it
MOST_STEPS = 200
WINDOWS = 2  # roll-outs at most in one measurement


@dataclass(frozen=True)
class Adaptation:
    """What became of an adaptation: `before` and `after` are mean PSNR in dB of `kept_back` frames, at most 60 each.

    `after` is that of the weights after `steps` steps, the best of `tried`. With too few frames nothing is done.
    """

    given: int
    needed: int
    seconds: float = 0.0
    tried: int = 0
    steps: int = 0
    kept_back: int = 0
    before: float = 0.0
    after: float = 0.0

    @property
    def used(self) -> bool:
        """Whether the adapted weights predict, instead of the model's own."""
        return self.after > self.before

    def __str__(self) -> str:
        if self.given < self.needed:
            return f"not adapted: {self.given} frames are given, it takes {self.needed}"
        where = f"on {self.kept_back} frame{'s' if self.kept_back > 1 else ''} kept back"
        took = f"{self.seconds:.1f} s, {self.steps or self.tried} steps"
        if not self.tried:
            return f"not adapted: measuring alone took {self.seconds:.1f} s; give it more time"
        if not self.used:
            return f"adapting did not help ({took}; {self.before:.2f} dB {where}): not used"
        return f"adapted in {took}: {self.before:.2f} \N{RIGHTWARDS ARROW} {self.after:.2f} dB {where}"


def adapt(
    model: Predictor, frames: Tensor, horizon: int, seconds: float, *, context: int, seed: int = 0
) -> tuple[Predictor, Adaptation]:
    """Return a copy of `model` trained on `frames`, or `model` itself if that does not help, and what was done.

    The last frames are kept back. Windows of the others, of `context` frames and as many more as are asked for and
    fit, are trained on by the model's own loss, in crops, and the weights that predict the kept frames best are taken.
    But for the clock, a function of the frames and the seed.

    Args:
        model: any model with weights; it is not changed.
        frames: (T, C, H, W), uint8 or float in [0, 1], consecutive.
        horizon: how many frames will be asked for.
        seconds: how long it may take, measuring included.
        context: how many context frames the model gets.
        seed: of the windows and crops.

    Raises:
        UserError: a time that is not positive.
        NotSupportedError: a model without weights, or one that learns from encoded clips.
    """
    if not seconds > 0:  # nor nan, with which it would not end
        raise UserError(f"the time to adapt must be more than 0 seconds, not {seconds:g}")
    _check_learns(model)
    started = time.monotonic()
    done = Adaptation(given=len(frames), needed=context + BEYOND)
    if done.given < done.needed:
        return model, done
    ahead = min(horizon, done.given - context - 1, model.capabilities.max_horizon or horizon)
    kept = min(max(ahead, done.given // 4), done.given - context - ahead)
    model.check_data(Task.forecast(context, ahead), _shape(frames))
    copy = deepcopy(model).eval()
    view = _Kept(_middle(frames, model), context, ahead, kept, seed)
    tuner = _Tuner(copy, copy.stages()[-1], frames[: done.given - kept], context + ahead, context, seed)
    before = view.measure(copy)
    tried, steps, after = _best(tuner, view, before, started + seconds)
    done = Adaptation(done.given, done.needed, time.monotonic() - started, tried, steps, kept, before, after)
    return (copy if done.used else model), done


def _best(tuner: _Tuner, view: _Kept, before: float, deadline: float) -> tuple[int, int, float]:
    """Train until the time or the patience ends; return the steps tried, and those and the measure of the best weights.

    The model is left with them.
    """
    model, best, best_step, step = tuner.model, before, 0, 0
    weights, slowest = deepcopy(model.state_dict()), 0.0

    def late() -> bool:
        return time.monotonic() + slowest + view.seconds > deadline

    while not late() and step < min(MOST_STEPS, best_step + PATIENCE * EVERY):
        began = time.monotonic()
        if not tuner.step(step):
            break
        step, slowest = step + 1, max(slowest, time.monotonic() - began)
        if step % EVERY == 0 or late():
            found = view.measure(model)
            if found > best:
                best, best_step, weights = found, step, deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return step, best_step, best


class _Kept:
    """Roll-outs into the last `kept` of `frames` (T, C, H, W), from frames before them, and how well they are met."""

    def __init__(self, frames: Tensor, context: int, ahead: int, kept: int, seed: int) -> None:
        self.context, self.ahead, self.seed = context, min(ahead, kept), seed
        first, last = len(frames) - kept - context, len(frames) - context - self.ahead
        starts = np.unique(np.linspace(first, last, min(WINDOWS, last - first + 1)).round().astype(int))
        self.windows = torch.stack([frames[start : start + context + self.ahead] for start in starts.tolist()])
        self.seconds = 0.0  # that the last measurement took

    def measure(self, model: Predictor) -> float:
        """Return the mean PSNR in dB."""
        started = time.monotonic()
        given, truth = self.windows[:, : self.context], self.windows[:, self.context :]
        generator = torch_generator(self.seed, "adapt", device=given.device)
        found = METRICS.get("psnr")(model.predict(given, self.ahead, generator=generator), truth)
        self.seconds = time.monotonic() - started
        return float(found.clamp(max=CAP).mean())


class _Tuner:
    """Trains all objectives of a stage in turn, one crop of one window of `frames` (T, C, H, W) a step."""

    def __init__(self, model: Predictor, stage: Stage, frames: Tensor, span: int, context: int, seed: int) -> None:
        self.model, self.frames, self.span, self.context, self.seed = model, frames, span, context, seed
        self.objectives = stage.objectives
        self.optimizers = [
            torch.optim.Adam(each.parameters, lr=each.optimizer.lr * RATE, betas=each.optimizer.betas)
            for each in stage.objectives
        ]

    def step(self, number: int) -> bool:
        """Take step `number`; False if a loss is not finite."""
        clip = self._clip(numpy_generator(self.seed, "adapt", number))
        for objective, optimizer in zip(self.objectives, self.optimizers, strict=True):
            with torch.enable_grad(), clip_noise(self.seed, "adapt", number, objective.name, index=torch.arange(1)):
                loss, _ = objective.loss(clip)
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
            if not torch.isfinite(loss):
                return False
            optimizer.step()
        return True

    def _clip(self, draws: Generator) -> Clip:
        start = int(draws.integers(len(self.frames) - self.span + 1))
        window = self.frames[start : start + self.span]
        if self.model.capabilities.any_size:
            height, width = (min(SIDE, side) for side in window.shape[-2:])
            top = int(draws.integers(window.shape[-2] - height + 1))
            left = int(draws.integers(window.shape[-1] - width + 1))
            window = window[..., top : top + height, left : left + width]
        window = as_float(window).unsqueeze(0)
        return Clip(window[:, : self.context], window[:, self.context :])


def _check_learns(model: Predictor) -> None:
    """Refuse a model that cannot be trained on frames; its last stage is the one that fine-tunes it."""
    name, stages = model_name(model), model.stages()
    if not stages:
        raise NotSupportedError(f"{name} has nothing to train: omit the adaptation, or choose a trained model")
    if stages[-1].encode is not None:
        raise NotSupportedError(f"{name} learns from encoded clips, so it cannot be adapted to frames")


def _shape(frames: Tensor) -> tuple[int, int, int]:
    channels, height, width = frames.shape[1:]
    return channels, height, width


def _middle(frames: Tensor, model: Predictor) -> Tensor:
    """Return the middle of frames (T, C, H, W), at most `VIEW` pixels a side, as floats; all if the size is fixed."""
    if not model.capabilities.any_size:
        return as_float(frames)
    height, width = frames.shape[-2:]
    top, left = max(0, height - VIEW) // 2, max(0, width - VIEW) // 2
    return as_float(frames[..., top : top + VIEW, left : left + VIEW])
