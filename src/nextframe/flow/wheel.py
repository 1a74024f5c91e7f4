"""A flow as an image: the hue is the direction, the saturation the speed (the Middlebury colour wheel)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Steps between neighbouring colours, as Baker et al. (IJCV 2011) place them: more where the eye sees more differences.
WHEEL = (
    (15, (1.0, 0.0, 0.0)),  # red to yellow
    (6, (1.0, 1.0, 0.0)),  # yellow to green
    (4, (0.0, 1.0, 0.0)),  # green to cyan
    (11, (0.0, 1.0, 1.0)),  # cyan to blue
    (13, (0.0, 0.0, 1.0)),  # blue to magenta
    (6, (1.0, 0.0, 1.0)),  # magenta to red
)


def flow_image(flow: Tensor, max_speed: float | None = None) -> Tensor:
    """Paint flows in the usual colour wheel: right is red, down is yellow, left is cyan, up is violet.

    Args:
        flow: (B, 2, H, W) in pixels, x first. Values that are not finite come out black.
        max_speed: the speed in pixels that has the full colour; faster is darker; None: the fastest in `flow`.

    Returns:
        (B, 3, H, W) RGB in [0, 1]; no motion is white.
    """
    known = flow.isfinite().all(1, keepdim=True)
    x, y = torch.where(known, flow, 0).unbind(1)  # (B, H, W) each
    speed = torch.hypot(x, y)
    top = max_speed if max_speed is not None else float(speed.max())
    radius = (speed / max(top, 1e-9)).unsqueeze(1)  # (B, 1, H, W)
    turn = torch.atan2(y, x) / (2 * math.pi) % 1  # 0 is right, a quarter is down
    hue = _hue(turn).movedim(-1, 1)  # (B, 3, H, W)
    color = torch.where(radius <= 1 + 1e-6, 1 - radius * (1 - hue), 0.75 * hue)
    return torch.where(known, color, 0).clamp(0, 1)


def _hue(turn: Tensor) -> Tensor:
    """Return the colour (..., 3) at `turn` in [0, 1] around the wheel, between its two neighbours."""
    colors = turn.new_tensor([color for _, color in WHEEL] + [WHEEL[0][1]])
    steps = turn.new_tensor([0, *(count for count, _ in WHEEL)]).cumsum(0)
    place = turn * steps[-1]
    after = torch.searchsorted(steps, place.contiguous(), right=True).clamp(1, len(WHEEL))
    share = ((place - steps[after - 1]) / (steps[after] - steps[after - 1])).unsqueeze(-1)
    return colors[after - 1] * (1 - share) + colors[after] * share
