"""The last frames that a model of a fixed number of them sees: of one shot, as many as it wants, as colours."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.layers.rhythm import last_kept, left_out

CUT = 25 / 255  # mean change of thumbnails below which nothing is a cut
CUT_RATIO = 3.0  # how often the change at a cut must hold every other
THUMBNAIL = 32  # cells along the shorter side


class Seen(NamedTuple):
    """Frames (B, T, C, H, W) as they came, and of each its features (B, T, D, h, w) and its thumbnail (B, T, N)."""

    frames: Tensor
    features: Tensor
    thumbnails: Tensor

    def then(self, other: Seen) -> Seen:
        """Return these frames and those of `other` after them."""
        return Seen(*(torch.cat(pair, dim=1) for pair in zip(self, other, strict=True)))

    def last(self, count: int) -> Seen:
        """Return the last `count` frames, or as many as there are."""
        return Seen(*(part[:, max(0, part.shape[1] - count) :] for part in self))

    def changes(self) -> Tensor:
        """Return the mean change from each frame to the next, (B, T - 1), as thumbnails show it."""
        return changes_of(self.thumbnails)

    def in_one_shot(self) -> Tensor:
        """Return whether there is no cut between the last three frames, (B,) bool."""
        return since_cut(self.changes()[:, -2:])[:, 0] == 0

    def shot(self, count: int) -> Seen:
        """Return `count` frames of one shot: the first after a cut, or of all, stands for those that are missing."""
        numbers = torch.arange(self.frames.shape[1], device=self.frames.device)
        return self.chosen(self._since_cut(as_many(numbers.expand(self.frames.shape[0], -1), count)))

    def moves(self, count: int) -> Seen:
        """Return `shot(count)` of frames that differ: none that a video holds in a rhythm, or shows twice."""
        return self.chosen(self._since_cut(last_kept(left_out(self.changes(), below=CUT), count)))

    def _since_cut(self, kept: Tensor) -> Tensor:
        """Return `kept` (B, K) with the first frame after a cut in place of those before it."""
        return kept.gather(1, since_cut(changes_of(picked(self.thumbnails, kept))))

    def chosen(self, kept: Tensor) -> Seen:
        """Return frames `kept` (B, K) of each clip."""
        return Seen(*(picked(part, kept) for part in self))


def picked(values: Tensor, kept: Tensor) -> Tensor:
    """Return entries `kept` (B, K) of (B, T, ...), of each clip its own."""
    return values[torch.arange(kept.shape[0], device=kept.device).unsqueeze(1), kept]


def changes_of(small: Tensor) -> Tensor:
    """Return the mean change from each thumbnail (B, T, N) to the next, (B, T - 1)."""
    return small.diff(dim=1).abs().mean(2)


def thumbnails(frames: Tensor) -> Tensor:
    """Return frames (B, T, C, H, W) with 32 cells along the shorter side, flat: (B, T, N); not of alpha."""
    cell = max(1, min(frames.shape[-2:]) // THUMBNAIL)
    small = F.avg_pool2d(frames[:, :, :3].flatten(0, 1), cell)
    return small.reshape(*frames.shape[:2], small.shape[1:].numel())


def as_many(frames: Tensor, count: int) -> Tensor:
    """Return the last `count` entries of (B, T, ...); the first is repeated if there are fewer."""
    missing = count - frames.shape[1]
    if missing > 0:
        frames = torch.cat([frames[:, :1].expand(-1, missing, *frames.shape[2:]), frames], dim=1)
    return frames[:, -count:]


def since_cut(changes: Tensor) -> Tensor:
    """Return which of K frames stands for each, (B, K): itself, or the first after the last cut.

    A cut is where the change of thumbnails, `changes` (B, K - 1), is at least `CUT` on average, and by far more than
    at any other step: the rule by which data sets are cut, as far as so few frames allow it.
    """
    count = changes.shape[1] + 1
    others = (changes.unsqueeze(1) * (1 - torch.eye(count - 1, device=changes.device))).amax(2)
    is_cut = (changes >= CUT) & (changes >= CUT_RATIO * (others + 1 / 255))
    number = torch.arange(1, count, device=changes.device)
    start = (is_cut * number).amax(1)  # (B,): the first frame of the shot that the newest frame belongs to
    return torch.maximum(torch.arange(count, device=changes.device), start.unsqueeze(1))


def split_alpha(frames: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the colours of (B, K, C, H, W) as RGB, (B, K, 3, H, W), and alpha (B, K, 1, H, W) if there is one."""
    if frames.shape[2] == 1:
        return frames.expand(-1, -1, 3, -1, -1), None
    return frames[:, :, :3], frames[:, :, 3:] if frames.shape[2] == 4 else None


def as_given(frame: Tensor, channels: int) -> Tensor:
    """Return an RGB frame (B, 3, H, W) as grey if the context frames have 1 channel."""
    return frame.mean(1, keepdim=True) if channels == 1 else frame
