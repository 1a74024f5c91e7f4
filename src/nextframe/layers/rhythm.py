"""Frames that a video holds: one shown at twice its rate, or animation on twos, repeats each (A A B B C C)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

HELD = 0.15  # of the largest change among the last frames: what changes less is held
MOVES = 0.5 / 255  # mean change of thumbnails below which nothing moves, so that no rhythm can be seen
PERIODS = (2, 3)  # frames from one move to the next


def rhythm(changes: Tensor, below: float) -> tuple[Tensor, Tensor]:
    """Return whether frames are held in a rhythm, and whether the last one is about to be held once more, (B,) bool.

    A rhythm of p frames is seen where of any p changes in a row one is a move, p - 1 are not, and at least p + 1 are
    known. It needs four frames for p = 2, five for p = 3.

    Args:
        changes: (B, T - 1), the mean change of (thumbnails of) T frames from each to the next, oldest first.
        below: where more changes, the video is cut rather than moving.
    """
    held, most = held_changes(changes), F.pad(changes, (1, 0)).amax(1)
    moves = (most >= MOVES) & (most < below)
    found = again = torch.zeros_like(moves)
    for period in PERIODS:
        known = held[:, -2 * period :]
        if known.shape[1] > period:
            one_move = ((~known).unfold(1, period, 1).sum(2) == 1).all(1)
            fits = moves & one_move & ~found
            found, again = found | fits, again | (fits & known[:, -period])
    return found, again


def held_changes(changes: Tensor) -> Tensor:
    """Return which of the changes (B, T - 1) are none to speak of, as `rhythm` sees them."""
    return changes <= HELD * F.pad(changes, (1, 0)).amax(1, keepdim=True)


def last_distinct(changes: Tensor, count: int) -> Tensor:
    """Return which frames are the last `count` that differ, (B, count), oldest first; of equal ones the newest.

    Where there are fewer, the oldest of them is repeated.
    """
    batch, frames = changes.shape[0], changes.shape[1] + 1
    ends = torch.cat([~held_changes(changes), torch.ones(batch, 1, dtype=torch.bool, device=changes.device)], dim=1)
    numbers = torch.where(ends, torch.arange(frames, device=changes.device), -1)
    kept = numbers.topk(min(count, frames), dim=1).values.flip(1)  # -1 first, where there are too few
    oldest = torch.where(kept < 0, frames, kept).amin(1, keepdim=True)
    kept = torch.where(kept < 0, oldest, kept)
    return torch.cat([kept[:, :1].expand(-1, count - kept.shape[1]), kept], dim=1)
