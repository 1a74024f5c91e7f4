"""A checkpoint of another program in this package's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Translated:
    """A model of the registry, with weights that another program trained.

    `fields` are the model's config, `weights` its state dict, `dropped` the names of tensors that the original has and
    never uses.
    """

    model: str
    fields: dict[str, Any]
    weights: dict[str, Tensor]
    dropped: tuple[str, ...] = ()


Translate = Callable[[Mapping[str, Tensor], Mapping[str, Any]], Translated]
"""From a state dict of the original and its settings as plain values, such as {"num_hidden": "128,128"}."""
