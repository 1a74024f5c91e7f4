"""How far a model's motion can be trusted, place by place: as far as it was right about the last context frames.

A frame that was predicted before it was known shows it: the share of the predicted change that did happen, by least
squares. Where the image stands still under noise, flickers or turns back, that share is small, and the last frame as
it stands is the better prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.layers.rhythm import doubled, rhythm
from nextframe.layers.window import CUT, Seen

REHEARSALS = 2  # of the last frames
CELL = 8  # pixels along a side of a cell
REACH = 5  # cells along a side of the window that decides for the cell in its middle
ENOUGH = 0.75  # of a predicted change: where as much happened, all of it counts; a lower bound keeps less of the gain
CREDIT = 1e-4  # squared change, summed over channels, that every window is taken to have got right before it is seen


class Rehearsed(NamedTuple):
    """Frames that a model has seen, and what they say of its predictions.

    `expected` (B, 0 or 1, C, H, W) is the prediction of the frame after the last, `notes` (B, N, 2, h, w) what the
    last frames were `compared` to theirs.
    """

    seen: Seen
    expected: Tensor
    notes: Tensor

    @classmethod
    def before(cls, seen: Seen) -> Rehearsed:
        """Return frames of which none was predicted."""
        height, width = (-(-side // CELL) for side in seen.frames.shape[-2:])
        notes = seen.frames.new_zeros(seen.frames.shape[0], 0, 2, height, width)
        return cls(seen, seen.frames[:, :0], notes)

    def read(self, following: Seen, back: int) -> Rehearsed:
        """Return this with the frame after it, which is compared to what was expected; `back` frames are kept."""
        seen, notes = self.seen.then(following).last(back), self.notes
        changes = seen.changes()
        if self.expected.shape[1]:
            note = compared(self.expected[:, 0], seen.frames[:, -2], seen.frames[:, -1])
            note = note.masked_fill(doubled(changes, below=CUT)[:, -1].view(-1, 1, 1, 1), 0)  # it is the last again
            notes = torch.cat([notes, note.unsqueeze(1)], dim=1)[:, -REHEARSALS:]
        if seen.frames.shape[1] > 1:  # what is predicted across a cut, or of one frame after it, says nothing
            notes = notes * seen.in_one_shot().view(-1, 1, 1, 1, 1)
        return Rehearsed(seen, seen.frames[:, :0], notes)

    def trusted(self, frames: Tensor) -> Tensor:
        """Return the last frame with the trusted part of its change to each of `frames` (B, n, C, H, W)."""
        return self.trusting()(frames)

    def trusting(self) -> Callable[[Tensor], Tensor]:
        """Return `trusted` as a function that works the trust out once, here; in a `rhythm` it is all."""
        if not self.notes.shape[1]:
            return lambda frames: frames
        share, last = trust(self.notes), self.seen.frames[:, -1:]
        share = share.masked_fill(rhythm(self.seen.changes(), below=CUT)[0].view(-1, 1, 1, 1), 1)
        share = F.interpolate(share, size=last.shape[-2:], mode="bilinear").unsqueeze(1)
        return lambda frames: last + share * (frames - last)


def compared(predicted: Tensor, last: Tensor, truth: Tensor) -> Tensor:
    """Return what a known frame says of its prediction, (B, 2, h, w) for cells of 8x8 pixels.

    The mean product of the change predicted and the change that happened, and the mean square of the change predicted,
    both summed over channels.

    Args:
        predicted: (B, C, H, W), of the frame after `last`.
        last: the same shape.
        truth: what did come after it, the same shape.
    """
    change, happened = predicted - last, truth - last
    both = torch.stack([(change * happened).sum(1), change.square().sum(1)], dim=1)
    return F.avg_pool2d(both, CELL, ceil_mode=True, count_include_pad=False)


def trust(notes: Tensor) -> Tensor:
    """Return how much of predicted changes to believe in, (B, 1, h, w), 0 to 1, of notes (B, N, 2, h, w).

    All where at least three quarters of the predicted change happened; below, in proportion.
    """
    sums = F.avg_pool2d(notes.sum(1), REACH, 1, REACH // 2, count_include_pad=False)
    return ((sums[:, :1] + CREDIT) / (sums[:, 1:] + CREDIT) / ENOUGH).clamp(0, 1)
