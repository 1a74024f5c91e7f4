"""Maps as sums of waves: a shift, and a product over all shifts, are there products of numbers."""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from nextframe.layers.sampling import precise


class Plane:
    """Maps (..., height, width) that wrap around at their edges. Waves are complex, (..., height, width // 2 + 1).

    With waves f and w, f * w are those of f put wherever w is, in proportion, and f * w.conj() those of f seen from
    there. A place is (row, column) in pixels; an image that is put somewhere has its middle there.
    """

    def __init__(self, height: int, width: int) -> None:
        self.size = (height, width)

    def waves(self, maps: Tensor) -> Tensor:
        """Return the waves of maps (..., height, width)."""
        return cast(Tensor, torch.fft.rfft2(precise(maps)))

    def maps(self, waves: Tensor) -> Tensor:
        """Return the maps (..., height, width) of waves."""
        return cast(Tensor, torch.fft.irfft2(waves, s=self.size))

    def image_waves(self, images: Tensor) -> Tensor:
        """Return the waves of images (..., side, side), their middle at (0, 0)."""
        side, (height, width) = images.shape[-1], self.size
        laid = F.pad(precise(images), (0, width - side, 0, height - side))
        return self.waves(laid.roll((-(side // 2), -(side // 2)), (-2, -1)))

    def images(self, waves: Tensor, side: int) -> Tensor:
        """Return what lies around (0, 0) of the maps of `waves`, (..., side, side)."""
        return self.maps(waves).roll((side // 2, side // 2), (-2, -1))[..., :side, :side]

    def spots(self, places: Tensor, sigma: Tensor) -> Tensor:
        """Return the waves of Gaussian spots that sum to 1, at places (..., 2), of a deviation (...) in pixels."""
        height, width = self.size
        rows = torch.fft.fftfreq(height, device=places.device, dtype=places.dtype)
        columns = torch.fft.rfftfreq(width, device=places.device, dtype=places.dtype)
        return _spot(rows, places[..., :1], sigma)[..., :, None] * _spot(columns, places[..., 1:], sigma)[..., None, :]

    def places(self, where: Tensor) -> Tensor:
        """Return the places (..., 2) of maps that sum to 1: means over their squares, so that peaks outweigh haze."""
        peaks = where.square()
        peaks = peaks / peaks.sum((-2, -1), keepdim=True)
        rows, columns = (torch.arange(side, device=where.device, dtype=where.dtype) for side in self.size)
        return torch.stack([(peaks.sum(-1) * rows).sum(-1), (peaks.sum(-2) * columns).sum(-1)], dim=-1)


def _spot(frequencies: Tensor, place: Tensor, sigma: Tensor) -> Tensor:
    """Return the waves (..., F) of a spot along one axis, at place (..., 1)."""
    angle = -2 * math.pi * place * frequencies
    height = torch.exp(-2 * (math.pi * sigma[..., None] * frequencies).square())
    return torch.polar(height, angle)
