"""What a network thinks of a frame that is not there: flows back to others, a choice between them, and paint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from nextframe.layers.sampling import enlarged, precise, sampled

LOOKED_AT = 2  # agreement is measured at every second pixel of every second row


@dataclass(frozen=True)
class Guess:
    """What is thought of the coming frame, per pixel; (B, ..., H, W) each.

    `flow` (B, 2K, H, W) says where in each of the K frames a pixel comes from, in pixels; `choice` (B, K + 2, H, W)
    weighs, before a softmax, the K frames so sampled, the last frame as it stands, and `paint` (B, 3, H, W).
    """

    flow: Tensor
    choice: Tensor
    paint: Tensor

    @classmethod
    def of(cls, maps: Tensor, frames: int) -> Guess:
        """Return the parts of `maps` (B, 3K + 5, H, W), in that order; K is `frames`, and paint is around 0."""
        flow, choice, paint = torch.split(maps, [2 * frames, frames + 2, 3], dim=1)
        return cls(flow, choice, paint + 0.5)

    def at(self, frames: Tensor) -> Guess:
        """Return the guess at the size of `frames`, (..., H, W), where it was made of fewer pixels."""
        size, before = (frames.shape[-2], frames.shape[-1]), self.flow.shape[-2:]
        flow, choice, paint = (enlarged(maps, size) for maps in (self.flow, self.choice, self.paint))
        x, y = torch.split(flow.reshape(flow.shape[0], -1, 2, *size), 1, dim=2)
        flow = torch.cat([x * (size[1] / before[1]), y * (size[0] / before[0])], dim=2)
        return Guess(flow.flatten(1, 2), choice, paint)

    def candidates(self, frames: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the K + 2 frames (B, C, H, W) to choose from, and the weight of each, (B, 1, H, W)."""
        # one by one, so that what it takes is held for one of them
        each = zip(torch.split(self.flow, 2, 1), torch.split(frames, 1, 1), strict=True)
        found = [*(sampled(*one).squeeze(1) for one in each), precise(frames[:, -1]), self.paint]
        return found, list(torch.split(self.choice.softmax(1), 1, dim=1))


def blend(guess: Guess, frames: Tensor) -> Tensor:
    """Return the frame (B, C, H, W) that a guess makes of `frames` (B, K, C, H, W)."""
    return mixed(*guess.candidates(frames))


def shown(guess: Guess, frames: Tensor, alpha: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the frame (B, C, H, W) that a guess makes of `frames`, and its `agreement`, (B,).

    `alpha` (B, K, 1, H, W) goes with the colours (B, K, C, H, W), and is the frame's last channel.
    """
    candidates, weights = guess.candidates(frames)
    frame = mixed(candidates, weights)
    sure = agreement(candidates, weights, frame)
    if alpha is not None:
        frame = torch.cat([frame, blend(Guess(guess.flow, guess.choice, alpha[:, -1]), alpha)], dim=1)
    return frame, sure


def mixed(candidates: list[Tensor], weights: list[Tensor]) -> Tensor:
    """Return the weighted sum of frames (B, C, H, W)."""
    frame = torch.zeros_like(candidates[-1])
    for weight, candidate in zip(weights, candidates, strict=True):
        frame = torch.addcmul(frame, weight, candidate)
    return frame


def agreement(candidates: list[Tensor], weights: list[Tensor], frame: Tensor) -> Tensor:
    """Return 1 - 2 d, (B,), 0 to 1: d is how far the candidates are from `frame` on average, each by its weight.

    Frames (B, C, H, W) are in [0, 1]. 1: all that is chosen from is the same; 0: half of it is black, half is white.
    """
    far = torch.zeros_like(frame[:, 0, ::LOOKED_AT, ::LOOKED_AT])
    for weight, candidate in zip(weights, candidates, strict=True):
        apart = (candidate - frame)[..., ::LOOKED_AT, ::LOOKED_AT].abs().mean(1)
        far = torch.addcmul(far, weight[:, 0, ::LOOKED_AT, ::LOOKED_AT], apart)
    return (1 - 2 * far.mean((1, 2))).clamp(0, 1)


def first_guess(flow: Tensor, frames: Tensor, offsets: Tensor) -> Tensor:
    """Return (B, 3K + 5, H, W): flows (B, 2K, h, w), mostly the nearest frames so sampled, hardly ever the paint."""
    size = (frames.shape[-2], frames.shape[-1])
    nearest = offsets.abs() == offsets.abs().amin(1, keepdim=True)
    nearest = nearest & (F.pad(offsets, (0, 1)).diff(dim=1) != 0)  # of a frame that is repeated, the last
    start = F.pad(F.pad(nearest * 3.0 - 1.0, (0, 1)), (0, 1), value=-3.0)  # -1, ..., 2, 0, -3
    choice = start[..., None, None].expand(frames.shape[0], -1, *size)
    return torch.cat([enlarged(flow, size), choice, precise(frames[:, -1])], dim=1)


def changed(guess: Tensor, changes: Sequence[Tensor]) -> Tensor:
    """Return a guess (B, 3K + 5, H, W) with all changes (B, 3K + 5, h, w) added to it."""
    for change in changes:
        guess = enlarged(change, (guess.shape[-2], guess.shape[-1])).add_(guess)
    return guess
