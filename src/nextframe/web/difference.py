"""How far a prediction is from the truth: as an image, and as a number for each step."""

from __future__ import annotations

import torch
from torch import Tensor

from nextframe.prediction import Prediction
from nextframe.prediction.panels import comparison_animation

REPEATED = "last frame repeated"  # what a prediction is measured against
# Colours of an error of 0, 1/3, 2/3 and 1 of the scale: dark, violet, orange, pale yellow.
HEAT = ((13, 14, 20), (120, 28, 110), (243, 118, 44), (252, 250, 190))
FAINTEST = 0.1  # the scale ends at the largest error, but not below this


def difference_animation(truth: Tensor, prediction: Tensor) -> Tensor:
    """Return a clip (n, 3, H', W') uint8 of the error of each pixel, the mean over its channels.

    Args:
        truth: (n, C, H, W) in [0, 1].
        prediction: the same shape.
    """
    error = (truth - prediction).abs().mean(dim=1)  # (n, H, W)
    scale = max(FAINTEST, float(error.amax()))
    return comparison_animation(None, None, {f"difference, white = {scale:.2f}": heat(error / scale)})


def heat(values: Tensor) -> Tensor:
    """Return values (n, H, W) in [0, 1] as colours (n, 3, H, W) in [0, 1], dark to bright."""
    colors = torch.tensor(HEAT, dtype=torch.float32) / 255  # (4, 3)
    place = values.clamp(0, 1) * (len(HEAT) - 1)
    low = place.floor().clamp(max=len(HEAT) - 2)
    part = (place - low).unsqueeze(-1)  # (n, H, W, 1)
    shades = torch.lerp(colors[low.long()], colors[low.long() + 1], part)
    return shades.permute(0, 3, 1, 2).contiguous()


def step_errors(prediction: Prediction, name: str, *, one_step: bool) -> dict[str, list[float]]:
    """Return the mean squared error of each predicted frame, and that of repeating the last known frame.

    The known frame is the last of the context, or with `one_step` the one just before each predicted frame.
    """
    assert prediction.truth is not None
    truth, last = prediction.truth, prediction.context[-1:]
    before = torch.cat([last, truth[:-1]]) if one_step else last.expand_as(truth)
    rows = {name: prediction.frames}
    if not torch.equal(prediction.frames, before):
        rows[REPEATED] = before
    return {key: (frames - truth).square().mean(dim=(1, 2, 3)).tolist() for key, frames in rows.items()}
