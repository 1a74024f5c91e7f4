"""What a sweep goes over: for each field its choices, or a range."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from nextframe.core.errors import UserError, cut, shown
from nextframe.core.settings import parse_settings

FORMS = "write A,B,C or LOW..HIGH or LOW..HIGH:log"
MOST = 10_000  # combinations that are put in an order
COMPARED = ("training.monitor", "training.val_clips", "data.name", "data.mix", "data.horizon", "data.size")


@dataclass(frozen=True)
class Choices:
    """Any of `values`, by how YAML writes each: an Optuna study keeps text and numbers only."""

    values: tuple[Any, ...]

    @property
    def labels(self) -> dict[str, Any]:
        """The values by how they are written."""
        return {
            yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip(): value for value in self.values
        }

    @property
    def ends(self) -> tuple[Any, ...]:
        """What has to be valid for all to be: each of them."""
        return self.values


@dataclass(frozen=True)
class Range:
    """Any number from `low` to `high`, both included; whole numbers if both are; `log`: every factor alike."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def ends(self) -> tuple[Any, ...]:
        """What has to be valid for all to be."""
        return (self.low, self.high)


Space = dict[str, Choices | Range]


def read_space(over: Mapping[str, str | Sequence[Any]]) -> Space:
    """Return what `over` says for each dotted field.

    Args:
        over: "64,128" or [64, 128] for choices, "1e-4..1e-2" for a range, "1e-4..1e-2:log" for one by factors.

    Raises:
        UserError: a text that is neither, a range that is empty, or a field that a sweep cannot compare.
    """
    if not over:
        raise UserError(f"a sweep goes over at least one field: --over FIELD=..., {FORMS}")
    return {field: _part(field, value) for field, value in over.items()}


def read_words(words: Sequence[str]) -> dict[str, str]:
    """Turn ["training.lr=1e-4..1e-2:log", ...] into a mapping by dotted names; a UserError for a name given twice."""
    found: dict[str, str] = {}
    for word in words:
        field, equals, text = word.partition("=")
        if not equals or field.strip() in found:
            what = "it is given twice" if equals else FORMS
            raise UserError(f"--over '{cut(word)}': {what}")
        found[field.strip()] = text
    return found


def combinations(space: Space, seed: int) -> list[dict[str, str]]:
    """Return every combination of the labels of choices, in an order that depends on `seed`; [] if there is a range.

    Raises:
        UserError: there are over 10,000.
    """
    parts = [part for part in space.values() if isinstance(part, Choices)]
    if len(parts) < len(space):
        return []
    count = math.prod(len(part.labels) for part in parts)
    if count > MOST:
        raise UserError(
            f"a sweep over {count:,} combinations, and {MOST:,} is the limit: omit a field, or give a range"
        )
    found = [dict(zip(space, labels, strict=True)) for labels in itertools.product(*(part.labels for part in parts))]
    random.Random(seed).shuffle(found)
    return found


def _part(field: str, value: str | Sequence[Any]) -> Choices | Range:
    if field in COMPARED:
        raise UserError(f"over '{field}': it changes what trials are compared by; sweep over it in separate sweeps")
    if isinstance(value, str) and ".." in value and "/" not in value:  # with "/" it is a path
        return _range(field, value)
    values = _choices(field, value) if isinstance(value, str) else list(value)
    part = Choices(tuple(values))
    if len(part.labels) < 2:
        raise UserError(f"over '{field}={shown(value)}': a choice needs two values; {FORMS}")
    return part


def _choices(field: str, text: str) -> list[Any]:
    values: list[Any] = parse_settings([f"{field}=[{text}]"])[field]
    return values


def _range(field: str, text: str) -> Range:
    said = f"over '{field}={cut(text)}'"
    numbers, colon, scale = text.partition(":")
    low, high = (_number(end, said) for end in numbers.split("..", 1))
    if colon and scale.strip() != "log":
        raise UserError(f"{said}: unknown scale '{cut(scale)}'; {FORMS}")
    if low >= high:
        raise UserError(f"{said}: the low end {low:g} is not below the high end {high:g}")
    if colon and low <= 0:
        raise UserError(f"{said}: a range by factors begins above 0, not at {low:g}")
    return Range(low, high, log=bool(colon))


def _number(text: str, said: str) -> float:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    raise UserError(f"{said}: '{cut(text.strip())}' is not a number; {FORMS}")
