"""What some predictors can do besides predicting. Shared code asks what a model can do, never which one it is.

A model has a protocol's methods or it does not; it need not inherit anything. Whether futures can be drawn is in
`Capabilities.stochastic`, `Predictor.draws` and `Predictor.Options`, which every predictor has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from nextframe.core.clip import Clip
from nextframe.models.contract import Predictor, predicting
from nextframe.models.request import Block, Request


@runtime_checkable
class Streaming(Protocol):
    """Reads the context once; each further frame costs O(1). `StreamingPredictor` makes a forecast of it."""

    def prime(self, context: Tensor) -> Any:
        """Read `context` (B, T, C, H, W), T may be 0, and return the state after its last frame."""
        ...

    def step(self, state: Any, frame: Tensor) -> tuple[Tensor, Any]:
        """Read `frame` (B, C, H, W); return the prediction of the frame after it and the new state."""
        ...


@runtime_checkable
class Confident(Protocol):
    """Says how sure it is of each frame that it predicts."""

    def forecast_with_confidence(self, request: Request) -> tuple[Tensor, Tensor]:
        """Return one future (B, horizon, C, H, W) and how sure each of its frames is, (B, horizon), 0 to 1.

        The frames are those that `forecast` returns. What 0 and 1 mean, the model says.
        """
        ...


@runtime_checkable
class Encoder(Protocol):
    """Turns a context into features, differentiably: a classifier on them can train the model too."""

    def features(self, clip: Clip) -> Tensor:
        """Return (B, D) features of the context of `clip`."""
        ...


@runtime_checkable
class StepEncoder(Protocol):
    """Has features after every frame, not only after the last one."""

    def step_features(self, frames: Tensor) -> Tensor:
        """Return (B, T, D) for frames (B, T, C, H, W); the output at t has seen frames up to t."""
        ...


@runtime_checkable
class Reconstructor(Protocol):
    """Turns single frames into latents and back."""

    def encode(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log deviation, (N, D) each, of the latents of `frames` (N, C, H, W) in [0, 1]."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """Return frames (N, C, H, W) of latents (N, D); they may exceed [0, 1]."""
        ...

    def reconstruct(self, frames: Tensor) -> Tensor:
        """Return what the mean latents of `frames` (N, C, H, W) decode to, in [0, 1]."""
        ...


@runtime_checkable
class LatentPredictor(Protocol):
    """Predicts the latents of a reconstructor."""

    @property
    def reconstructor(self) -> Reconstructor:
        """The model that turns frames into latents and back."""
        ...

    def primed(self, clip: Clip, generator: torch.Generator | None = None) -> Tensor:
        """Return (B, T + H, C, H, W) in [0, 1]: one-step predictions in the context, then free ones."""
        ...


@runtime_checkable
class ContextReconstructor(Protocol):
    """Reads a context into one state and reconstructs its frames from that."""

    @property
    def reconstructs(self) -> bool:
        """Whether this model, with its config, can reconstruct."""
        ...

    def reconstruct(self, context: Tensor, *, leak: bool = False) -> Tensor:
        """Return the context (B, T, C, H, W) as the state has kept it; with `leak` it reads the true frames."""
        ...


@runtime_checkable
class StateCoder(Protocol):
    """Reads a context into one state of plain numbers, and decodes any such state: states can be added."""

    def state(self, context: Tensor) -> Tensor:
        """Return the state (B, D) after a context (B, T, C, H, W)."""
        ...

    def decode_state(self, state: Tensor, context: int, horizon: int) -> tuple[Tensor, Tensor]:
        """Return `context` frames in their own order, and the `horizon` after them: (B, T, C, H, W) in [0, 1]."""
        ...


@runtime_checkable
class Decomposer(Protocol):
    """Predicts a frame as the sum of components, which are to be one object each."""

    def components(self, context: Tensor, horizon: int) -> Tensor:
        """Return the components (B, T + horizon, K, C, H, W) in [0, 1] of a context (B, T, C, H, W) and its future."""
        ...


def unrolls(model: Predictor) -> bool:
    """Whether `unrolled` makes the frames of `model` as they are asked for; else all are made for the first one."""
    return _way(model) == "unroll"


def unrolled(model: Predictor, request: Request) -> Iterator[Block]:
    """Yield what `model.predict` returns frame by frame, (B, 1, C, H, W) in [0, 1] each, and how sure each is."""
    blocks, left = _blocks(model, request), request.horizon
    while left > 0:
        with predicting(model):  # not around a yield: the caller's mode is the caller's
            frames, sure = next(blocks)
        for index in range(min(left, frames.shape[1])):
            known = None if sure is None else sure[:, index : index + 1]
            yield Block(frames[:, index : index + 1].clamp(0, 1), known)
        left -= frames.shape[1]


def _blocks(model: Predictor, request: Request) -> Iterator[Block]:
    way = _way(model)
    if way == "unroll":
        yield from model.unroll(request)
    elif way == "forecast" or not isinstance(model, Confident):
        yield Block(model.forecast(request))
    else:
        yield Block(*model.forecast_with_confidence(request))


def _way(model: Predictor) -> str:
    """Return the name of the method that says last, in the order of a model's classes, what it predicts."""
    ways = ("unroll", "forecast_with_confidence", "forecast")
    return next(way for kind in type(model).__mro__ for way in ways if way in vars(kind))
