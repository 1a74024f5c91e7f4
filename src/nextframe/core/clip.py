"""The words of the project as types: a task says which frames are given and which are asked; a clip holds both.

Frames are (B, T, C, H, W): float in [0, 1] between parts, uint8 only in storage and in loader batches.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from nextframe.core.errors import UserError


@dataclass(frozen=True)
class Task:
    """Which offsets of a span are given to the model and which are asked of it.

    Forecasting is (0..n-1) -> (n..n+h-1), interpolation (0, 2) -> (1,): one idea for models, data and evaluation.
    """

    given: tuple[int, ...]
    asked: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.given or not self.asked:
            raise UserError("a task needs at least one given frame and one asked frame")
        if min(self.given + self.asked) < 0:
            raise UserError("offsets of a task count from 0: negative ones are not allowed")

    @classmethod
    def forecast(cls, context: int, horizon: int) -> Task:
        """Return the task of predicting the `horizon` frames that follow `context` frames."""
        return cls(tuple(range(context)), tuple(range(context, context + horizon)))

    @classmethod
    def interpolate(cls, gap: int = 1) -> Task:
        """Return the task of predicting the frame in the middle of two frames that are 2 * gap apart."""
        return cls((0, 2 * gap), (gap,))

    @property
    def length(self) -> int:
        """Frames that a span needs for this task."""
        return max(self.given + self.asked) + 1

    @property
    def context(self) -> int:
        """Number of given frames."""
        return len(self.given)

    @property
    def horizon(self) -> int:
        """Number of asked frames."""
        return len(self.asked)

    @property
    def is_forecast(self) -> bool:
        """Whether the asked frames directly follow the given ones."""
        return self == Task.forecast(self.context, self.horizon)

    def split(self, frames: Tensor, label: Tensor | None = None) -> Clip:
        """Cut spans `frames` (B, T >= length, C, H, W) into given and asked frames."""
        check_frames(frames)
        if frames.shape[1] < self.length:
            raise UserError(f"the task needs {self.length} frames, the span has {frames.shape[1]}")
        return Clip(frames[:, list(self.given)], frames[:, list(self.asked)], label)


@dataclass(frozen=True)
class Clip:
    """A batch of given frames `context` (B, T, C, H, W) and asked frames `target` (B, H', C, H, W), of one dtype.

    `label` is (B,) int64 where the data set has classes.
    """

    context: Tensor
    target: Tensor
    label: Tensor | None = None

    def __post_init__(self) -> None:
        check_frames(self.context)
        check_frames(self.target)
        if self.context.shape[0] != self.target.shape[0] or self.context.shape[2:] != self.target.shape[2:]:
            raise UserError(f"context {tuple(self.context.shape)} and target {tuple(self.target.shape)} do not match")

    @property
    def frames(self) -> Tensor:
        """Context and target in one tensor (B, T + H', C, H, W): the sequence, where the task is a forecast."""
        return torch.cat([self.context, self.target], dim=1)

    @property
    def horizon(self) -> int:
        """Number of asked frames."""
        return self.target.shape[1]

    def __len__(self) -> int:
        return self.context.shape[0]

    def to(self, device: torch.device | str) -> Self:
        """Return the clip on `device`, frames as float in [0, 1] (uint8 travels, the conversion runs there)."""
        move = as_float
        label = None if self.label is None else self.label.to(device, non_blocking=True)
        return replace(
            self,
            context=move(self.context.to(device, non_blocking=True)),
            target=move(self.target.to(device, non_blocking=True)),
            label=label,
        )

    def __getitem__(self, index: slice) -> Clip:
        label = None if self.label is None else self.label[index]
        return Clip(self.context[index], self.target[index], label)

    def pin_memory(self) -> Self:
        """Return the clip in page-locked memory, from where a GPU fetches it while the processor goes on."""
        label = None if self.label is None else self.label.pin_memory()
        return replace(self, context=self.context.pin_memory(), target=self.target.pin_memory(), label=label)


class EncodedClip(Clip):
    """A clip whose frames are codes that a stage asked for: context and target are (B, T, 2, 1, D) float."""


def check_frames(frames: Tensor) -> Tensor:
    """Return `frames` if it is (B, T, C, H, W); else a UserError that says its shape."""
    if frames.ndim != 5:
        raise UserError(f"frames must be (B, T, C, H, W), not {tuple(frames.shape)}")
    return frames


def as_float(frames: Tensor) -> Tensor:
    """Return frames as float in [0, 1]: uint8 is divided by 255, floats pass unchanged."""
    if frames.dtype == torch.uint8:
        return frames.to(torch.get_default_dtype()).div_(255)
    return frames


def as_uint8(frames: Tensor) -> Tensor:
    """Return frames as uint8: floats in [0, 1] are clamped, scaled and rounded to nearest; uint8 passes unchanged."""
    if frames.dtype == torch.uint8:
        return frames
    return frames.detach().clamp(0, 1).mul(255).round().to(torch.uint8)
