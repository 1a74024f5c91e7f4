"""Where tensors live: which device "auto" is, and how small things get there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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


def sent(values: NDArray[np.generic], device: torch.device) -> Tensor:
    """Return an array as a tensor on `device`; the processor does not wait for what a GPU has to do before.

    Args:
        values: of any shape; CUDA has taken a copy of them when this returns.
        device: where it goes.
    """
    return torch.from_numpy(np.ascontiguousarray(values)).to(device, non_blocking=device.type == "cuda")


def wait_for(device: torch.device) -> None:
    """Return when a GPU has done what it was given; a processor has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
