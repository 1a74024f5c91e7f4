"""Weights and frames that are functions of names and seeds alone, so that an original can be run on the same ones."""

from __future__ import annotations

import zlib
from math import sqrt

import numpy as np
import torch
from torch import Tensor, nn


def filled(name: str, value: Tensor) -> Tensor:
    """Return float64 values in the place of a model's tensor `name`, which keep activations near 1.

    The numbers are numpy's, whose streams are the same on all machines.
    """
    numbers = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(value.shape))
    drawn = torch.from_numpy(np.asarray(numbers))
    if name.endswith("running_var"):
        return 0.5 + drawn.abs()
    if value.ndim > 1:
        return drawn / sqrt(max(1, value[0].numel()))
    return 0.1 * drawn + (1.0 if name.endswith("weight") else 0.0)


def fill(model: nn.Module) -> None:
    """Give every floating tensor of `model` the values that belong to its name."""
    state = model.state_dict()
    model.load_state_dict({k: filled(k, v).to(v) if v.is_floating_point() else v for k, v in state.items()})


def frames(*shape: int, seed: int = 0) -> Tensor:
    """Return float64 frames of `shape` (B, T, C, H, W) in [0, 1): smooth blobs that move, so that time matters."""
    rng = np.random.default_rng(seed)
    batch, length, channels, height, width = shape
    y, x = np.mgrid[:height, :width]
    start, speed = rng.uniform(0, height, (2, batch, channels, 1)), rng.uniform(-2, 2, (2, batch, channels, 1))
    places = start + speed * np.arange(length)  # (2, B, C, T)
    far = (y - places[0][..., None, None]) ** 2 + (x - places[1][..., None, None]) ** 2
    return torch.from_numpy(np.exp(-far / (height + width)).transpose(0, 2, 1, 3, 4).copy())
