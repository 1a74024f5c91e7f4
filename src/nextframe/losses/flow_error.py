"""The error of a flow, which outliers do not decide."""

from __future__ import annotations

from torch import Tensor


def flow_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Return (|difference| + 0.01)^0.7 of each clip (B,), averaged; beyond 40 pixels a difference counts no more."""
    return ((flow - truth).abs().clamp(max=40) + 0.01).pow(0.7).mean((1, 2, 3))
