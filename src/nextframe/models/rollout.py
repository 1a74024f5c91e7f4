"""The one roll-out: it turns a model that predicts the next frame, or the next few, into one for any horizon."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def roll_out(advance: Callable[[Tensor], Tensor], context: Tensor, horizon: int, clamp: bool = True) -> Tensor:
    """Predict `horizon` frames by feeding predictions back.

    Args:
        advance: takes (B, T, C, H, W) and returns the k >= 1 frames after them, (B, k, C, H, W).
        context: (B, T, C, H, W); every call sees the last T frames, context or predicted.
        horizon: how many frames.
        clamp: whether predicted frames are clamped to [0, 1] before they are seen and returned; not so for a model
            that is trained on what it sees here, as a clamped value has no gradient.

    Returns:
        (B, horizon, C, H, W).
    """
    length = context.shape[1]
    frames = context
    while frames.shape[1] < length + horizon:
        following = advance(frames[:, -length:])
        frames = torch.cat([frames, following.clamp(0, 1) if clamp else following], dim=1)
    return frames[:, length : length + horizon]
