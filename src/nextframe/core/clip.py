"""The terms of the project as types: a task names the context and target frames of a span; a clip holds both.

Frames are (B, T, C, H, W): float in [0, 1] between parts, uint8 only in storage and in loader batches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import torch
from torch import Tensor

from nextframe.core.conditions import NO_CONDITIONS, OFFSETS, Conditions, moved
from nextframe.core.errors import UserError

BLACK = 0.02  # the brightest level that counts as black


@dataclass(frozen=True)
class Task:
    """Which offsets of a span are context frames (`given`) and which are target frames (`asked`).

    Forecasting is (0..n-1) -> (n..n+h-1), interpolation (0, 2) -> (1,): one idea for models, data and evaluation.
    """

    given: tuple[int, ...]
    asked: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.given or not self.asked:
            raise UserError("a task needs at least one context frame and one target frame")
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
        """Number of context frames."""
        return len(self.given)

    @property
    def horizon(self) -> int:
        """Number of target frames."""
        return len(self.asked)

    @property
    def is_forecast(self) -> bool:
        """Whether the target frames directly follow the context frames."""
        return self == Task.forecast(self.context, self.horizon)

    def told(self, frames: Tensor) -> Conditions:
        """Return what tells a model of several tasks which one it is: `offsets`, for each clip of `frames`; or none."""
        if self.is_forecast:
            return NO_CONDITIONS
        offsets = torch.tensor(self.given, device=frames.device) - self.asked[0]
        return Conditions(fixed={OFFSETS: offsets.expand(len(frames), -1)})

    def split(self, frames: Tensor, conditions: Conditions = NO_CONDITIONS) -> Clip:
        """Cut spans `frames` (B, T >= length, C, H, W), and their timed conditions, into context and target.

        Unless the task is a forecast, the clip has the condition `offsets`.
        """
        check_frames(frames)
        if frames.shape[1] < self.length:
            raise UserError(f"the task needs {self.length} frames, the span has {frames.shape[1]}")
        conditions.check(*frames.shape[:2])
        given, asked = list(self.given), list(self.asked)
        return Clip(_at(frames, given), _at(frames, asked), conditions.at(given + asked).adding(self.told(frames)))

    def not_drawn(self, count: int, frame_shape: tuple[int, int, int]) -> Clip:
        """Return `count` clips of black frames that take no memory, for clips that are drawn where the model is.

        Args:
            count: how many.
            frame_shape: (C, H, W).
        """
        clip = self.split(torch.zeros(count, self.length, 1, 1, 1, dtype=torch.uint8))
        context, target = (frames.expand(-1, -1, *frame_shape) for frames in (clip.context, clip.target))
        return replace(clip, context=context, target=target)


@dataclass(frozen=True)
class Clip:
    """A batch of context frames `context` (B, T, C, H, W) and target frames `target` (B, H', C, H, W), of one dtype.

    `conditions` may be used to predict; timed ones have T + H' entries. `extras` (B, ...) are for a loss alone, such
    as the true flow or a target without noise: a model never gets them to predict with. Neither is ever scaled.
    In a mix of data sets of which only some have an extra, it is 0 for the clips of the others, and the extra
    NAME_known (B,) bool says for which clips it is there; see `extra` and `knows`.
    """

    context: Tensor
    target: Tensor
    conditions: Conditions = NO_CONDITIONS
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_frames(self.context)
        check_frames(self.target)
        if self.context.shape[0] != self.target.shape[0] or self.context.shape[2:] != self.target.shape[2:]:
            raise UserError(f"context {tuple(self.context.shape)} and target {tuple(self.target.shape)} do not match")
        self.conditions.check(len(self), self.context.shape[1] + self.target.shape[1])
        for name, value in self.extras.items():
            if value.ndim < 1 or value.shape[0] != len(self):
                raise UserError(f"the extra '{name}' {tuple(value.shape)} does not have {len(self)} clips")

    @property
    def frames(self) -> Tensor:
        """Context and target in one tensor (B, T + H', C, H, W): the sequence, if the task is a forecast."""
        return torch.cat([self.context, self.target], dim=1)

    @property
    def horizon(self) -> int:
        """Number of target frames."""
        return self.target.shape[1]

    @property
    def label(self) -> Tensor | None:
        """The class of each clip, (B,) int64, if the data set has classes: the condition `label`."""
        return self.conditions.get("label")

    def knows(self, name: str) -> Tensor:
        """Return for which clips the extra `name` is there, (B,) bool."""
        there = torch.full((len(self),), name in self.extras, device=self.context.device)
        return self.extras.get(f"{name}_known", there)

    def extra(self, name: str, otherwise: Tensor) -> Tensor:
        """Return the extra `name`, with `otherwise`, of the same shape (B, ...), for the clips that lack it."""
        if name not in self.extras:
            return otherwise
        return torch.where(self.knows(name).view(-1, *[1] * (otherwise.ndim - 1)), self.extras[name], otherwise)

    def __len__(self) -> int:
        return self.context.shape[0]

    def to(self, device: torch.device | str) -> Self:
        """Return the clip on `device`, frames as float in [0, 1] (uint8 travels, the conversion runs there)."""
        return replace(
            self,
            context=as_float(moved(self.context, device)),
            target=as_float(moved(self.target, device)),
            conditions=self.conditions.to(device),
            extras={name: moved(value, device) for name, value in self.extras.items()},
        )

    @classmethod
    def join(cls, clips: Sequence[Clip]) -> Clip:
        """Return several batches, all with the same conditions and extras, as one."""
        return Clip(
            torch.cat([clip.context for clip in clips]),
            torch.cat([clip.target for clip in clips]),
            Conditions.join([clip.conditions for clip in clips]),
            {name: torch.cat([clip.extras[name] for clip in clips]) for name in clips[0].extras},
        )

    def __getitem__(self, index: slice | Tensor) -> Clip:
        return replace(
            self,
            context=self.context[index],
            target=self.target[index],
            conditions=self.conditions.rows(index),
            extras={name: value[index] for name, value in self.extras.items()},
        )

    def pin_memory(self) -> Self:
        """Return the clip in page-locked memory, from where a GPU fetches it while the processor goes on."""
        return replace(
            self,
            context=_pinned(self.context),
            target=_pinned(self.target),
            conditions=self.conditions.map(_pinned),
            extras={name: _pinned(value) for name, value in self.extras.items()},
        )


class EncodedClip(Clip):
    """A clip whose frames are codes that a stage asked for: context and target are (B, T, 2, 1, D) float."""


def _pinned(values: Tensor) -> Tensor:
    """Return values in page-locked memory; as they are if `expand` made them: torch cannot pin shared elements."""
    shared = any(size > 1 and not stride for size, stride in zip(values.shape, values.stride(), strict=True))
    return values if shared else values.pin_memory()


def _at(frames: Tensor, times: list[int]) -> Tensor:
    """Return a copy of frames (B, T, ...) at `times`: those in a row by a slice, as a list would halt a GPU's queue."""
    first, count = times[0], len(times)
    if times != list(range(first, first + count)):
        return frames[:, times]
    return frames[:, first : first + count].clone(memory_format=torch.contiguous_format)


def last_frame_stays(clip: Clip) -> bool:
    """Return whether the target is nearer to the last context frame than to its own mean, and not mostly black.

    So it is in videos, whose still parts stay. Digits leave their places, and what stays around them is nothing.
    """
    copied = (clip.target - clip.context[:, -1:]).square().mean()
    return bool(copied < clip.target.var(correction=0)) and float(clip.target.median()) > BLACK


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
