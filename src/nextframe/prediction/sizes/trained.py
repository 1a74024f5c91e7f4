"""The size that a model predicts at: the video's own, or the one that it was trained at, there and back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from nextframe.core.clip import as_float
from nextframe.media.fit import scaled_size
from nextframe.models.contract import Predictor

Size = tuple[int, int]  # (height, width)


@dataclass(frozen=True)
class Working:
    """How frames of the size `own` are given to a model: scaled to `scaled`, in the middle of a frame of `whole`.

    Around the middle, edge pixels are repeated. What is predicted is cut out and scaled back.
    """

    own: Size
    scaled: Size
    whole: Size
    trained: Size | None = None  # of the model's training, if the frames have another; None: they suit

    def into(self, frames: Tensor) -> Tensor:
        """Return frames (..., C, H, W) of the video, uint8 or floats in [0, 1], as the model gets them.

        They are floats, unless the model gets them as they are.
        """
        scaled = stretch(frames, self.scaled)
        if self.scaled == self.whole:
            return scaled
        (top, left), (height, width) = self._corner, self.whole
        around = (left, width - left - self.scaled[1], top, height - top - self.scaled[0])
        flat = F.pad(as_float(scaled).flatten(0, -4), around, mode="replicate")
        return flat.reshape(*frames.shape[:-2], *self.whole)

    def back(self, frames: Tensor) -> Tensor:
        """Return frames (..., C, H, W) that the model predicted at the size of the video."""
        (top, left), (height, width) = self._corner, self.scaled
        return stretch(frames[..., top : top + height, left : left + width], self.own)

    @property
    def _corner(self) -> tuple[int, int]:
        return (self.whole[0] - self.scaled[0]) // 2, (self.whole[1] - self.scaled[1]) // 2

    def note(self, name: str) -> str | None:
        """Return a line that says at which size the model `name` predicts, if it was trained at another one."""
        if self.trained in (None, self.own):
            return None
        text = f"{name} was trained on {_times(self.trained)}, the video is {_times(self.own)}: "
        if self.whole == self.own:
            return text + "predicting at the video's size"
        around = "" if self.scaled == self.whole else ", with edge pixels around,"
        return text + f"frames are scaled to {_times(self.scaled)}{around} and back"


def fit_to_trained(net: Predictor, own: Size) -> Working:
    """Return how to predict frames of the size `own` as `net` was trained, with their aspect ratio.

    A model of any size gets them as clips for training are scaled by default, so that they just cover the trained
    size, but whole: no part is cut off. One that takes the trained size only gets them so that they fit in it. Frames
    that are smaller than the trained ones are scaled up. A model that was not trained at one size gets them unscaled.

    Args:
        net: a model.
        own: (height, width) of the frames.
    """
    trained = net.trained.size if net.trained else None
    if trained in (None, own):
        return Working(own, own, own, trained)
    choose = max if net.capabilities.any_size else min
    factor = choose(there / here for there, here in zip(trained, own, strict=True))
    scaled = scaled_size(own, factor)
    whole = scaled if net.capabilities.any_size else trained
    return Working(own, scaled, whole, None if whole == own else trained)


def as_it_takes(net: Predictor, own: Size) -> Working:
    """Return how to predict frames of the size `own` at it, or stretched if `net` takes the trained size only."""
    trained = net.trained.size if net.trained else None
    working = own if trained is None or net.capabilities.any_size else trained
    return Working(own, working, working, trained)


def stretch(frames: Tensor, size: Size) -> Tensor:
    """Return frames (..., C, H, W), uint8 or floats in [0, 1], at `size`, without keeping their aspect ratio.

    Those of another size are returned as floats.
    """
    if tuple(frames.shape[-2:]) == size:
        return frames
    flat = as_float(frames).flatten(0, -4)
    flat = F.interpolate(flat, size=size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)
    return flat.reshape(*frames.shape[:-2], *size)


def _times(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
