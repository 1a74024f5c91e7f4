"""Frames that a video shows more than once.

One shown at twice its rate, or animation on twos, repeats each (A A B B C C). One brought to a slightly higher rate
repeats a frame now and then (A B C D D E): nothing has stopped there.
"""

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


def doubled(changes: Tensor, below: float) -> Tensor:
    """Return which of the changes (B, T - 1) are of a frame shown twice in a video that otherwise moves, bool.

    Nearly no change, as encoders do not repeat a frame exactly; not two in a row, which is a stop; in no `rhythm`; and
    with more changes that move than do not.
    """
    held, most = held_changes(changes), F.pad(changes, (1, 0)).amax(1)
    moves = (most >= MOVES) & (most < below) & (2 * held.sum(1) < held.shape[1])
    alone = ~(held[:, 1:] & held[:, :-1]).any(1)
    return held & (moves & alone & ~rhythm(changes, below)[0]).unsqueeze(1)


def left_out(changes: Tensor, below: float) -> Tensor:
    """Return which frames say nothing of motion, (B, T) bool: those after which the same comes again.

    In a `rhythm`, or `doubled`; never the last.
    """
    in_rhythm = held_changes(changes) & rhythm(changes, below)[0].unsqueeze(1)
    return F.pad(in_rhythm | doubled(changes, below), (0, 1))


def last_kept(without: Tensor, count: int) -> Tensor:
    """Return the numbers of the last `count` frames but those `without` (B, T), (B, count), oldest first.

    Where there are fewer, the oldest of them is repeated.
    """
    frames = without.shape[1]
    numbers = torch.arange(frames, device=without.device).masked_fill(without, -1)
    kept = numbers.topk(min(count, frames), dim=1).values.flip(1)  # -1 first, where there are too few
    oldest = torch.where(kept < 0, frames, kept).amin(1, keepdim=True)
    kept = torch.where(kept < 0, oldest, kept)
    return torch.cat([kept[:, :1].expand(-1, count - kept.shape[1]), kept], dim=1)
