"""How far a model's motion can be trusted, place by place: as far as it was right about the last context frames.

A frame that was predicted before it was known shows it: the share of the predicted change that did happen, by least
squares. Where the image stands still under noise, flickers or turns back, that share is small, and the last frame as
it stands is the better prediction. If there are two forecasts, it also shows which of them was nearer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.layers.expected import FADE, agreed
from nextframe.layers.rhythm import doubled, rhythm
from nextframe.layers.window import CUT, Seen, split_alpha

REHEARSALS = 2  # of the last frames
CELL = 8  # pixels along a side of a cell
REACH = 5  # cells along a side of the window that decides for the cell in its middle
ENOUGH = 0.75  # of a predicted change: where as much happened, all of it counts; a lower bound keeps less of the gain
CREDIT = 1e-4  # squared change, summed over channels, that every window is taken to have got right before it is seen
NEAR = 3  # cells along a side of the window that decides between two forecasts
RIDGE = 0.05  # of the squared errors of both, added to the squared difference between them
FLOOR = 1e-5  # squared difference, summed over channels, that is added as well: one so small is mostly noise
UNKNOWN = 0.6  # the share of the second where nothing is known: over a half, so that further ahead it is chosen
SHARPER, SHARPEST = 0.5, 10.0  # added to the power of both shares with every frame ahead; the highest power


class Rehearsed(NamedTuple):
    """Frames that a model has seen, and what they say of its predictions.

    `expected` (B, 0 to 2, C, H, W) are the forecasts of the frame after the last, the model's own first; `notes`
    (B, N, 5, h, w) are what the last frames were `compared` to theirs.
    """

    seen: Seen
    expected: Tensor
    notes: Tensor

    @classmethod
    def before(cls, seen: Seen) -> Rehearsed:
        """Return frames of which none was predicted."""
        height, width = (-(-side // CELL) for side in seen.frames.shape[-2:])
        notes = seen.frames.new_zeros(seen.frames.shape[0], 0, 5, height, width)
        return cls(seen, seen.frames[:, :0], notes)

    def read(self, following: Seen, back: int) -> Rehearsed:
        """Return this with the frame after it, which is compared to what was expected; `back` frames are kept."""
        seen, notes = self.seen.then(following).last(back), self.notes
        changes = seen.changes()
        if self.expected.shape[1]:
            (expected, _), (colours, _) = split_alpha(self.expected), split_alpha(seen.frames[:, -2:])
            note = compared(expected, colours[:, 0], colours[:, 1])
            in_rhythm, held = rhythm(self.seen.changes(), below=CUT)
            # the last again, expected to be it, or expected of one frame
            says_nothing = doubled(changes, below=CUT)[:, -1] | held | ~self.seen.in_one_shot()
            note = note.masked_fill(says_nothing.view(-1, 1, 1, 1), 0)
            notes = torch.cat([notes, note.unsqueeze(1)], dim=1)[:, -REHEARSALS:]
            # where a rhythm begins, moves were expected in frames that were held
            new_rhythm = rhythm(changes, below=CUT)[0] & ~in_rhythm
            notes = notes.masked_fill(new_rhythm.view(-1, 1, 1, 1, 1), 0)
        if seen.frames.shape[1] > 1:  # what is predicted across a cut, or of one frame after it, says nothing
            notes = notes * seen.in_one_shot().view(-1, 1, 1, 1, 1)
        return Rehearsed(seen, seen.frames[:, :0], notes)

    def trusting(self, expected: bool = False) -> Callable[[Tensor, int], Tensor]:
        """Return a function of forecasts (B, 1 or 2, C, H, W) of a frame, and of how many frames ahead that is.

        It returns the frame to show, (B, 1, C, H, W): the last frame with the trusted part of its change to the mean of
        the forecasts. What is trusted where is worked out once, here; how far, from the model's own forecasts. In a
        `rhythm` the change is trusted wholly. Further ahead the mean is ever more a choice between the two, or, of what
        is to be `expected` on average, soft where they disagree.
        """
        last = self.seen.frames[:, -1:].clone()  # alone, so that the frames before it need not be kept
        share, in_rhythm = trust(self.notes[:, :, :2]), rhythm(self.seen.changes(), below=CUT)[0].view(-1, 1, 1, 1)
        share = share.masked_fill(in_rhythm, 1)
        maps = torch.cat([share, second_share(self.notes[:, :, 2:])], dim=1)
        maps = F.interpolate(maps, size=last.shape[-2:], mode="bilinear").clamp(0, 1)  # rounding leads beyond 1
        share, second = torch.split(maps.unsqueeze(2), 1, dim=1)

        def trusted(forecasts: Tensor, ahead: int) -> Tensor:
            mean, other, later = forecasts[:, :1], forecasts[:, 1:], expected and ahead > 1
            if other.shape[1]:
                mean = agreed(mean, other, second) if later else torch.lerp(mean, other, sharpened(second, ahead))
            fade = torch.where(in_rhythm, 1.0, FADE ** (ahead - 1)).unsqueeze(1) if later else 1.0
            return last + share * fade * (mean - last)

        return trusted


def compared(predicted: Tensor, last: Tensor, truth: Tensor) -> Tensor:
    """Return what a known frame says of its one or two forecasts, (B, 5, h, w) for cells of 8x8 pixels.

    Of the step from the last frame to the first forecast, the mean product with the step from the last frame to the
    truth, and the mean square; of the step from the first forecast to the second, the same with that from the first to
    the truth; the sum of their mean squared errors. All are summed over channels.

    Args:
        predicted: (B, 1 or 2, C, H, W), of the frame after `last`.
        last: (B, C, H, W).
        truth: what did come after it, the same shape.
    """
    first, second = predicted[:, 0], predicted[:, -1]
    maps = [*_step(last, first, truth), *_step(first, second, truth)]
    maps.append((predicted - truth.unsqueeze(1)).square().sum((1, 2)))
    return F.avg_pool2d(torch.stack(maps, dim=1), CELL, ceil_mode=True, count_include_pad=False)


def _step(start: Tensor, end: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    step = end - start
    return (step * (truth - start)).sum(1), step.square().sum(1)


def second_share(notes: Tensor) -> Tensor:
    """Return the share of the second forecast in the mean of both, (B, 1, h, w), 0 to 1, of notes (B, N, 3, h, w).

    That which would have made the least squared error; ridge regression (Hoerl & Kennard 1970) keeps it small where
    that was hardly better. Where nothing is known, `UNKNOWN`.
    """
    sums = F.avg_pool2d(notes.sum(1), NEAR, 1, NEAR // 2, count_include_pad=False)
    product, square, errors = torch.split(sums, 1, dim=1)
    share = (product / (square + RIDGE * errors + FLOOR)).clamp(0, 1)
    return torch.where(errors > 0, share, UNKNOWN)


def sharpened(share: Tensor, ahead: int) -> Tensor:
    """Return `share`, 0 to 1, of the second forecast `ahead` frames ahead, 1 for the next: ever more a choice.

    Of two that drift apart a mean shows everything twice.
    """
    power = min(1 + SHARPER * (ahead - 1), SHARPEST)
    first, second = (1 - share) ** power, share**power
    return second / (first + second)


def trust(notes: Tensor) -> Tensor:
    """Return how much of predicted changes to believe in, (B, 1, h, w), 0 to 1, of notes (B, N, 2, h, w).

    All where at least three quarters of the predicted change happened; below, in proportion.
    """
    sums = F.avg_pool2d(notes.sum(1), REACH, 1, REACH // 2, count_include_pad=False)
    return ((sums[:, :1] + CREDIT) / (sums[:, 1:] + CREDIT) / ENOUGH).clamp(0, 1)
