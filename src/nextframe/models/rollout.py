"""The one roll-out: it turns a model that predicts the next frame, or the next few, into one for any horizon."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def roll_out(advance: Callable[[Tensor], Tensor], context: Tensor, horizon: int) -> Tensor:
    """Predict `horizon` frames by feeding predictions back.

    Args:
        advance: takes (B, T, C, H, W) and returns the k >= 1 frames after them, (B, k, C, H, W).
        context: (B, T, C, H, W); every call sees the last T frames, context or predicted, clamped to [0, 1].
        horizon: how many frames.

    Returns:
        (B, horizon, C, H, W).
    """
    length = context.shape[1]
    frames = context
    while frames.shape[1] < length + horizon:
        frames = torch.cat([frames, advance(frames[:, -length:]).clamp(0, 1)], dim=1)
    return frames[:, length : length + horizon]
