"""How far a prediction is to be trusted: the model's error on the clip's own last frames, beside the last frame's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from nextframe.core.clip import as_float
from nextframe.models.contract import Predictor
from nextframe.prediction.stream import Drawing, futures

MOST = 32  # steps at most: the time and memory that this takes are bounded
FLOAT = 4  # bytes of a value


@dataclass(frozen=True)
class Trust:
    """Mean squared errors, of values in [0, 1], in the last frames that are known, one for each step into them.

    `predicted` is that of the model from the frames before them, `repeated` that of the last of these frames.
    """

    source: str
    model: str
    asked: int  # steps of the prediction that this is about
    predicted: tuple[float, ...]
    repeated: tuple[float, ...]

    @property
    def steps(self) -> int:
        """How many frames were predicted."""
        return len(self.predicted)

    @property
    def lower(self) -> list[bool]:
        """For each step, whether the error of the model is the lower one."""
        return [ours < other for ours, other in zip(self.predicted, self.repeated, strict=True)]

    @property
    def better_until(self) -> int:
        """The last step up to which the model is better at every one; 0: not at the first."""
        return (*self.lower, False).index(False)

    def __str__(self) -> str:
        frames = f"{self.steps} frames" if self.steps > 1 else "frame"
        return f"{self.source}: on its own last {frames} {self.model} is {self._verdict()}"

    def _verdict(self) -> str:
        until = self.better_until
        if until == self.steps:
            return f"better than the last frame up to step {until}, {self._limit()}"
        later = sum(self.lower[until:])
        if not later:
            return f"no better than the last frame from step {until + 1} on"
        if not until:
            return f"no better than the last frame at step 1, better at {later} of the next {self.steps - 1}"
        return f"better than the last frame up to step {until}, and at {later} of the next {self.steps - until}"

    def _limit(self) -> str:
        if self.steps == self.asked:
            return "all that are predicted"
        return "the longest that is tried" if self.steps == MOST else "the longest that the clip allows"

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        errors = {"predicted": list(self.predicted), "last_frame": list(self.repeated)}
        return {"steps": self.steps, "better_until": self.better_until, "mse": errors}


@dataclass(frozen=True)
class Past:
    """A model, and the last frames that are known (T, C, H, W), `steps` of which it is to predict from the others."""

    net: Predictor
    frames: Tensor
    steps: int
    asked: int  # steps of the prediction that this is beside
    source: str
    how: Drawing

    @classmethod
    def of(
        cls, net: Predictor, frames: Tensor, asked: int, contexts: tuple[int, int], source: str, how: Drawing
    ) -> Past | None:
        """Return what of `frames` is to be predicted, at most `asked`; None if there are too few.

        Args:
            net: the model.
            frames: all that is held of the clip, (T, C, H, W).
            asked: steps of the prediction itself.
            contexts: how many frames the model is to have before them, at least and at most.
            source: the name of the clip.
            how: as for the prediction itself.
        """
        steps = min(asked, MOST, len(frames) - contexts[0])
        if frames.ndim != 4 or steps < 1:
            return None
        return cls(net, frames[-contexts[1] - steps :], steps, asked, source, replace(how, samples=1))

    @property
    def bytes(self) -> int:
        """What is held of it beside the prediction itself: the frames, and those before the last ones as floats."""
        return (len(self.frames) + FLOAT * (len(self.frames) - self.steps)) * self.frames[0].numel()

    def measure(self) -> Trust:
        """Predict the last frames from those before them, and return both errors."""
        given, truth = as_float(self.frames[: -self.steps]), self.frames[-self.steps :]
        made = futures(self.net, given, self.steps, self.how)
        predicted, repeated = [], []
        for step, true in zip(made, truth, strict=True):
            predicted.append(_error(step.futures[0], true))
            repeated.append(_error(given[-1], true))
        return Trust(self.source, self.how.name, self.asked, tuple(predicted), tuple(repeated))


def _error(frame: Tensor, truth: Tensor) -> float:
    return float((frame - as_float(truth)).square().mean())
