"""The tensors of Keras's ConvLSTM under one set of names, whatever file they come from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from nextframe.core.errors import UserError

KINDS = {  # axes of a layer's first tensor: the layer, and its tensors in Keras's order, each with its axes
    4: ("conv_lstm2d", {"kernel": 4, "recurrent_kernel": 4, "bias": 1}),
    1: ("batch_normalization", {"gamma": 1, "beta": 1, "moving_mean": 1, "moving_variance": 1}),
    5: ("conv3d", {"kernel": 5, "bias": 1}),
}
PARTS = tuple(dict.fromkeys(part for _, parts in KINDS.values() for part in parts))


def named(arrays: Iterable[np.ndarray]) -> dict[str, Tensor]:
    """Return tensors such as 'conv_lstm2d.0.kernel' of arrays in Keras's order: layer after layer, each one's together.

    Integers, such as the seeds of dropout, are not weights and are skipped.

    Raises:
        UserError: a layer that the network does not have, or one whose tensors are not all there.
    """
    left = [array for array in arrays if array.dtype.kind == "f"]
    state: dict[str, Tensor] = {}
    layers: Counter[str] = Counter()
    while left:
        axes = left[0].ndim
        if axes not in KINDS:
            raise UserError(f"no layer of the network begins with a tensor of {axes} axes")
        layer, parts = KINDS[axes]
        taken, left = left[: len(parts)], left[len(parts) :]
        if [array.ndim for array in taken] != list(parts.values()):
            raise UserError(f"its {layer} {layers[layer] + 1} is not {', '.join(parts)}")
        names = [f"{layer}.{layers[layer]}.{part}" for part in parts]
        state |= {name: torch.from_numpy(array.astype(np.float32)) for name, array in zip(names, taken, strict=True)}
        layers[layer] += 1
    return state


def in_order(arrays: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Return arrays by their places, 'conv3d_2/vars/0' before 'conv3d_10/vars/0'; a layer's own in Keras's order."""
    return [arrays[place] for place in sorted(arrays, key=lambda place: [_rank(name) for name in place.split("/")])]


def _rank(name: str) -> tuple[str, int]:
    """Return a name without the number at its end, and that number, or 0."""
    if name.lstrip("_") in PARTS:
        return "", PARTS.index(name.lstrip("_"))
    found = re.fullmatch(r"(.*?)[_-]?(\d{0,9})", name, re.DOTALL)
    return (found[1], int(found[2] or 0)) if found else (name, 0)
