"""Random numbers of clips by name, so that a new one leaves all others as they are; and tables with a row a clip."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from nextframe.core.seeds.seeding import Floats, derive_seed, uniforms
from nextframe.data.clipset import Indices

Flags = NDArray[np.bool_]


class Draws:
    """Numbers (B, *shape) of B clips: each a function of the keys, the clip's index and the number's name alone."""

    def __init__(self, indices: Indices, *keys: int | str) -> None:
        self.indices, self.keys = indices, keys

    def unit(self, name: str, *shape: int) -> Floats:
        """Return uniform numbers in [0, 1)."""
        numbers = uniforms(derive_seed(*self.keys, name), self.indices, math.prod(shape))
        return numbers.reshape(len(self.indices), *shape)

    def between(self, name: str, low: float, high: float, *shape: int) -> Floats:
        """Return uniform numbers in [low, high)."""
        return low + (high - low) * self.unit(name, *shape)

    def heavy(self, name: str, most: float, *shape: int) -> Floats:
        """Return numbers between -most and most, mostly small: the cube of uniform ones."""
        return most * (2 * self.unit(name, *shape) - 1) ** 3

    def chance(self, name: str, share: float | Floats, *shape: int) -> Flags:
        """Return which ones happen, each with probability `share`."""
        return np.asarray(self.unit(name, *shape) < share)

    def choice(self, name: str, weights: Sequence[float], *shape: int) -> Indices:
        """Return positions in `weights`, each with its weight."""
        edges = np.cumsum(weights) / np.sum(weights)
        return np.searchsorted(edges[:-1], self.unit(name, *shape), side="right").astype(np.int64)

    def among(self, name: str, count: int, *shape: int) -> Indices:
        """Return whole numbers from 0 to count - 1."""
        return (self.unit(name, *shape) * count).astype(np.int64)


class Table:
    """The base of dataclasses whose fields are arrays (B, ...), or tables, with a row for each clip."""

    def rows(self, rows: Any) -> Self:
        """Return the table of some clips: `rows` is a slice, a mask or indices."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        return type(self)(**{n: v.rows(rows) if isinstance(v, Table) else v[rows] for n, v in values.items()})
