"""Where tensors live: which device "auto" is."""

from __future__ import annotations

import torch

from nextframe.core.errors import UserError

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(device: str) -> str:
    """Return "cuda", "mps" or "cpu" for "auto" or one of these names; UserError if it is not available."""
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, available in here.items() if available)
    if device not in here:
        raise UserError(f"unknown device '{device}' (one of: {', '.join(DEVICES)})")
    if not here[device]:
        raise UserError(f"device '{device}' is not available: use --device cpu, or install torch for '{device}'")
    return device
