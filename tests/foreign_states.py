"""State dicts of other programs, made of names and shapes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def state_of(shapes: Shapes) -> dict[str, Tensor]:
    """Return a state dict with random values, named as Lightning names them."""
    return {f"model.{name}": torch.rand(shape) for name, shape in shapes.items()}


def others(shapes: Shapes, last: str) -> Iterator[dict[str, Tensor]]:
    """Yield state dicts that are not of `shapes`: of something else, without tensor `last`, with one more."""
    yield state_of({"fc.weight": (3, 4)})
    yield state_of({key: shape for key, shape in shapes.items() if key != last})
    yield state_of(shapes | {"conv_of_my_own.weight": (4, 4, 1, 1)})
