"""The result of a prediction: context, frames, and methods to show and save them."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nextframe.core.clip import as_float
from nextframe.core.errors import UserError
from nextframe.metrics.pixel import psnr
from nextframe.prediction.adapt import Adaptation
from nextframe.prediction.shown.charts import Chart
from nextframe.prediction.shown.panels import comparison_animation, comparison_strip
from nextframe.prediction.shown.show import MOST_VIDEOS, PAUSE, Shown
from nextframe.prediction.stream import Step, Stream
from nextframe.prediction.write import write_prediction

FRAME = "predicted frame"  # along the x axis of a chart


@dataclass(frozen=True)
class Prediction:
    """Frames on the CPU, float in [0, 1]: context, prediction, and truth if it is known.

    Of a batch of videos each tensor has a batch axis before its time axis, and `prediction[i]` is that of one video.
    """

    context: Tensor  # (T, C, H, W); of a batch (B, T, C, H, W)
    samples: Tensor  # (S, n, C, H, W): S futures; of a batch (S, B, n, C, H, W)
    truth: Tensor | None  # (n, C, H, W); of a batch (B, n, C, H, W)
    fps: float
    source: str
    model: str
    confidence: Tensor | None = None  # (n,) in [0, 1], of a batch (B, n): how sure each frame is, if the model knows
    adaptation: Adaptation | None = None  # what was done before, if it was asked for

    @classmethod
    def of(cls, stream: Stream) -> Prediction:
        """Return the prediction with all frames of a stream that was not read yet."""
        samples = truth = sure = None
        for number, step in enumerate(stream):
            samples = _put(samples, step.futures, number, stream.count)
            truth = None if step.truth is None else _put(truth, as_float(step.truth), number, stream.count)
            sure = None if step.sure is None else _put(sure, step.sure[..., None, None, None], number, stream.count)
        assert samples is not None  # there is at least one step
        known = None if sure is None else sure[..., 0, 0, 0]
        facts = (stream.fps, stream.source, stream.model, known, stream.adaptation)
        return cls(stream.context, samples, truth, *facts)

    def stream(self) -> Stream:
        """Return the prediction of one video as a stream, as writers take it."""
        sure = [None] * len(self.frames) if self.confidence is None else self.confidence.unbind()
        truth = [None] * len(self.frames) if self.truth is None else self.truth.unbind()
        steps = map(Step, self.samples.unbind(1), truth, sure)
        facts = (self.fps, self.source, self.model, self.adaptation)
        return Stream(self.context, steps, len(self.frames), len(self.samples), self.truth is not None, *facts)

    @property
    def frames(self) -> Tensor:
        """The predicted frames (n, C, H, W), of a batch (B, n, C, H, W); the first of several futures."""
        return self.samples[0]

    @property
    def batched(self) -> bool:
        """Whether this is of a batch of videos."""
        return self.context.ndim == 5

    def __len__(self) -> int:
        return len(self.context) if self.batched else 1

    def __getitem__(self, index: int) -> Prediction:
        if not self.batched:
            raise UserError("the prediction is of one video: .frames are its frames, (n, C, H, W)")
        truth = None if self.truth is None else self.truth[index]
        sure = None if self.confidence is None else self.confidence[index]
        return replace(self, context=self.context[index], samples=self.samples[:, index], truth=truth, confidence=sure)

    def save(self, path: str | os.PathLike[str], *, with_context: bool = False) -> Path:
        """Write the predicted frames as .gif, .mp4, .png or .npy, as `write_prediction` does.

        Args:
            path: where; the ending decides the format.
            with_context: put the context before the predicted frames.

        Raises:
            UserError: an unknown ending, a file that cannot be written, or a batch of videos.
        """
        if self.batched:
            raise UserError(f"the prediction is of {len(self)} videos: save one, as prediction[0].save({str(path)!r})")
        return write_prediction(self, path, with_context=with_context)

    def as_json(self) -> dict[str, Any]:
        """Return, as plain JSON values, what was predicted and how sure each frame is; of one video.

        `rows` has an entry for each predicted frame: its number from 1, its time in seconds after the last context
        frame, and its confidence from 0 to 1, null of a model that has none.

        Raises:
            UserError: a batch of videos.
        """
        if self.batched:
            raise UserError(f"the prediction is of {len(self)} videos: take one, as prediction[0].as_json()")
        stream = self.stream()
        for _ in stream:
            continue
        return stream.as_json()

    @property
    def futures(self) -> dict[str, Tensor]:
        """The futures of one video by name, each (n, C, H, W)."""
        return dict(zip(self.stream().names, self.samples, strict=True))

    def show(self) -> Shown:
        """Return context and prediction as something that a notebook plays, next to the truth if it is known."""
        if self.batched:
            rows = [self[index].show() for index in range(min(len(self), MOST_VIDEOS))]
            frames = torch.cat([row.frames for row in rows], dim=2)
            still = torch.cat([row.strip for row in rows], dim=1)
        else:
            frames = comparison_animation(self.context, self.truth, self.futures)
            still = comparison_strip(self.context, self.truth, self.futures)
        given, asked = self.context.shape[-4], self.samples.shape[-4]
        return Shown(frames, still, self.fps / PAUSE, f"{self.source}: {given} context frames, {asked} by {self.model}")

    def plot(self) -> Chart:
        """Return a chart over the predicted frames, of one video.

        Where the truth is known: PSNR in dB of each future and of the last context frame. Else the confidence.

        Raises:
            UserError: a batch of videos, or neither truth nor confidence is known.
        """
        if self.batched:
            raise UserError(f"the prediction is of {len(self)} videos: plot one, as prediction[0].plot()")
        if self.truth is not None:
            shown = {**self.futures, "last frame": self.context[-1:]}
            lines = {name: psnr(as_float(frames), self.truth) for name, frames in shown.items()}
            return Chart({name: _points(line) for name, line in lines.items()}, FRAME, "psnr")
        if self.confidence is None:
            raise UserError(f"{self.model} has no confidence to plot: predict known frames, with compare=True")
        return Chart({self.model: _points(self.confidence)}, FRAME, "confidence", from_zero=True)

    def __repr__(self) -> str:
        return f"<Prediction by {self.model} of {self.source}: frames {tuple(self.frames.shape)}>"

    def _repr_html_(self) -> str:
        return self.show()._repr_html_()


def _points(values: Tensor) -> list[tuple[int, float]]:
    """Return (number, value) of each frame, numbered from 1."""
    return list(enumerate(values.tolist(), start=1))


def _put(every: Tensor | None, one: Tensor, number: int, count: int) -> Tensor:
    """Put a frame (..., C, H, W) at `number` of `count` into `every`, (..., count, C, H, W), made for the first."""
    if every is None:
        every = one.new_empty(*one.shape[:-3], count, *one.shape[-3:])
    every.select(-4, number).copy_(one)
    return every
