"""What moves on in a roll-out: the motion of a predicted frame, as far as it was steady, in the frame after it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.flow.warp import landed
from nextframe.layers.drift import Drift

CARRIED = 0.5  # of the motion in a predicted frame that goes on in the next, if nothing says how steady it is
LEAST = 0.1  # of it that does however unsteady it was
UNEVEN = 0.1  # squared change of motion, as part of its square, that halves what is above that
STILL = 0.1  # pixels: a change of motion below it says little
AROUND = 15  # pixels along a side of the window in which motions are compared


class Newest(NamedTuple):
    """How a predicted frame came: `flow` (B, 2, H, W) back to the one before, or, `held` (B,) bool, that is it again.

    In a held one the flow is still that of the frame to come, and so is `drift`, the second forecast, if there is one.
    """

    flow: Tensor
    held: Tensor
    drift: Drift | None = None

    def going_on(self) -> Tensor:
        """Return the flow (B, 2, H, W) from the frame after it back to it, if every pixel moves on as it came."""
        return torch.where(self.held.view(-1, 1, 1, 1), self.flow, landed(self.flow))

    def forecasts(self, frame: Tensor) -> Tensor:
        """Return the forecasts, (B, 1 or 2, C, H, W): the predicted `frame`, and what drifts here, if anything does."""
        if self.drift is None:
            return frame.unsqueeze(1)
        other = torch.where(self.held.view(-1, 1, 1, 1), frame, self.drift.shown())
        return torch.stack([frame, other.to(frame.dtype)], dim=1)

    def drifting_on(self) -> Drift | None:
        """Return what drifts on to the frame after it."""
        return self.drift.then(self.held) if self.drift else None


class Coming(NamedTuple):
    """The motion that goes on in a frame after a predicted one.

    `flow` (B, 2, H, W) leads from it back to the predicted frame if every pixel moves on as it came; `share` of it
    does, 0 to 1, or (B, 1, H, W). `drift` is the second forecast of it, from the real frames, if there is one.
    """

    flow: Tensor
    share: Tensor | float
    drift: Drift | None = None

    @classmethod
    def first(cls, newest: Newest, before: Newest | None, known: Tensor) -> Coming:
        """Return that after the first predicted frame.

        `before` is the same of the frames but the last; where it is not `known`, (B,) bool, as if there were none.
        """
        flow, drift = newest.going_on(), newest.drifting_on()
        if before is None:
            return cls(flow, CARRIED, drift)
        steady = steadiness(landed(before.going_on()), flow)
        return cls(flow, torch.where(known.view(-1, 1, 1, 1), steady, CARRIED), drift)

    def then(self, newest: Newest) -> Coming:
        """Return that after one more predicted frame."""
        return self._replace(flow=newest.going_on(), drift=newest.drifting_on())


def followed(flow: Tensor, frames: Tensor, coming: Coming | None) -> Tensor:
    """Return flows (B, 2K, H, W): after real frames as they are, after a predicted one partly those of even motion.

    A network that looks at its own frames sees less motion in each: each step hesitates again. What was seen in real
    frames has no such doubt, so a share of it goes on.

    Args:
        flow: (B, 2K, H, W), from the coming frame back to each of the K frames, in pixels.
        frames: (B, K, C, H, W) in [0, 1], K at least 2, the newest last.
        coming: None: the last frame is real.
    """
    if coming is None:
        return flow
    return flow + coming.share * (evenly(coming.flow.to(flow.dtype), frames) - flow)


def steadiness(expected: Tensor, found: Tensor) -> Tensor:
    """Return how much of a motion goes on, (B, 1, H, W), 0.1 to 1: as much as it did from one real frame to the next.

    Both flows (B, 2, H, W) lead from the same coming frame back to the one before: `expected` as seen a frame earlier,
    if every pixel moved on evenly, and `found`.
    """
    gap, speed = ((flow.square().sum(1, keepdim=True)) for flow in (expected - found, found))
    gap, speed = (F.avg_pool2d(each, AROUND, 1, AROUND // 2, count_include_pad=False) for each in (gap, speed))
    return LEAST + (1 - LEAST) / (1 + gap / (STILL**2 + UNEVEN * speed))


def evenly(back: Tensor, frames: Tensor) -> Tensor:
    """Return flows (B, 2K, H, W) to all frames (B, K, C, H, W) of what moves by `back` (B, 2, H, W) to the last.

    A frame that is equal to the one after it is where that one is.
    """
    moves = (frames[:, 1:] != frames[:, :-1]).flatten(2).any(2)  # (B, K - 1)
    steps = 1 + F.pad(moves.flip(1).cumsum(1).flip(1), (0, 1))  # (B, K), 1 for the last
    return (steps[..., None, None, None] * back.unsqueeze(1)).flatten(1, 2)
