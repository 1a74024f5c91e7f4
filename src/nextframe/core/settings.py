"""Dotted settings, SECTION.FIELD=VALUE: read from words, set in nested mappings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from nextframe.core.errors import UserError


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """Turn ["model.hidden=64", "training.lr=1e-3", ...] into a mapping by dotted names; values are read as YAML.

    Raises:
        UserError: a word without "=", or a value that is not YAML.
    """
    parsed: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"setting '{word}': write SECTION.FIELD=VALUE")
        try:
            parsed[name.strip()] = _numbers(yaml.safe_load(value))
        except yaml.YAMLError:
            raise UserError(f"setting '{word}': the value cannot be read") from None
    return parsed


def set_dotted(values: dict[str, Any], name: str, value: Any) -> None:
    """Set `name`, dotted for a field inside a field, in nested mappings.

    Raises:
        UserError: a field on the way is not a mapping.
    """
    *parents, last = name.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise UserError(f"setting '{name}': {parent} has no named fields; set all of it")
    values[last] = value


def _numbers(value: Any) -> Any:
    """YAML 1.1 reads 1e-3 as text, in lists and mappings too; people mean the number."""
    if isinstance(value, list):
        return [_numbers(item) for item in value]
    if isinstance(value, dict):
        return {key: _numbers(item) for key, item in value.items()}
    if isinstance(value, str) and any(letter.isdigit() for letter in value):
        try:
            return float(value)
        except ValueError:
            return value
    return value
