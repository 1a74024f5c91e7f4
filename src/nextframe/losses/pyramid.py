"""A loss that counts detail of every size: Charbonnier on pixels, L1 on the levels of a Laplacian pyramid."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

LEVEL_WEIGHTS = (1.0, 1.0, 2.0, 2.0)  # of the finest level first; the last is what is left after all of them


def pyramid_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Return sqrt(difference^2 + 1e-6), averaged, plus the weighted L1 of each level of the Laplacian pyramids.

    Burt & Adelson 1983 for the pyramid; Niklaus & Liu 2018 (arXiv 1803.10967) for its use between frames. Both frames
    are (B, C, H, W) in [0, 1].
    """
    total = ((prediction - target).square() + 1e-6).sqrt().mean()
    levels = zip(LEVEL_WEIGHTS, laplacian(prediction), laplacian(target), strict=True)
    return total + sum((weight * (a - b).abs().mean() for weight, a, b in levels), total.new_zeros(()))


def laplacian(frames: Tensor, levels: int = 3) -> list[Tensor]:
    """Return `levels` differences between a frame and its half, enlarged again, and the last half; (B, C, H, W)."""
    found = []
    for _ in range(levels):
        half = F.avg_pool2d(frames, 2, ceil_mode=True)
        found.append(frames - F.interpolate(half, size=frames.shape[-2:], mode="bilinear"))
        frames = half
    return [*found, frames]
