"""The last frames that a model of a fixed number of them sees: of one shot, as many as it wants, as colours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

CUT = 25 / 255  # mean absolute difference of thumbnails below which nothing is a cut
CUT_RATIO = 3.0  # how often the difference at a cut must hold every other
THUMBNAIL = 32  # cells along the shorter side


class Seen(NamedTuple):
    """Frames (B, T, C, H, W) as they came, and the features of each, (B, T, D, h, w)."""

    frames: Tensor
    features: Tensor

    def then(self, other: Seen) -> Seen:
        """Return these frames and those of `other` after them."""
        return Seen(*(torch.cat(pair, dim=1) for pair in zip(self, other, strict=True)))

    def last(self, count: int) -> Seen:
        """Return the last `count` frames, or as many as there are."""
        return Seen(*(part[:, max(0, part.shape[1] - count) :] for part in self))

    def shot(self, count: int) -> Seen:
        """Return `count` frames of one shot: the first after a cut, or of all, stands for those that are missing."""
        seen = Seen(*(as_many(part, count) for part in self))
        kept = since_cut(seen.frames)
        clip = torch.arange(len(kept), device=kept.device).unsqueeze(1)
        return Seen(*(part[clip, kept] for part in seen))


def as_many(frames: Tensor, count: int) -> Tensor:
    """Return the last `count` entries of (B, T, ...); the first is repeated if there are fewer."""
    missing = count - frames.shape[1]
    if missing > 0:
        frames = torch.cat([frames[:, :1].expand(-1, missing, *frames.shape[2:]), frames], dim=1)
    return frames[:, -count:]


def since_cut(frames: Tensor) -> Tensor:
    """Return which frame stands for each of (B, K, C, H, W), (B, K): itself, or the first after the last cut.

    A cut is where thumbnails differ by at least `CUT` on average, and by far more than at any other step: the rule by
    which data sets are cut, as far as so few frames allow it.
    """
    batch, count = frames.shape[:2]
    cell = max(1, min(frames.shape[-2:]) // THUMBNAIL)
    small = F.avg_pool2d(frames.flatten(0, 1), cell).reshape(batch, count, -1)
    steps = small.diff(dim=1).abs().mean(2)  # (B, K - 1)
    others = (steps.unsqueeze(1) * (1 - torch.eye(count - 1, device=frames.device))).amax(2)
    is_cut = (steps >= CUT) & (steps >= CUT_RATIO * (others + 1 / 255))
    number = torch.arange(1, count, device=frames.device)
    start = (is_cut * number).amax(1)  # (B,): the first frame of the shot that the newest frame belongs to
    return torch.maximum(torch.arange(count, device=frames.device), start.unsqueeze(1))


def split_alpha(frames: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the colours of (B, K, C, H, W) as RGB, (B, K, 3, H, W), and alpha (B, K, 1, H, W) if there is one."""
    if frames.shape[2] == 1:
        return frames.expand(-1, -1, 3, -1, -1), None
    return frames[:, :, :3], frames[:, :, 3:] if frames.shape[2] == 4 else None


def as_given(frame: Tensor, channels: int) -> Tensor:
    """Return an RGB frame (B, 3, H, W) as grey if the context frames have 1 channel."""
    return frame.mean(1, keepdim=True) if channels == 1 else frame
