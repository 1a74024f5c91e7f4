"""Dotted settings, SECTION.FIELD=VALUE, read from words and set in nested mappings; YAML from anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from nextframe.core.errors import UserError, cut

MOST_CHARACTERS, MOST_VALUES, DEEPEST = 200_000, 10_000, 20  # of YAML; the largest recipe of ours has 60 values


class _PlainLoader(yaml.SafeLoader):
    """YAML without dates: 2026-01-05 is a name as any other, and 2026-13-45 too."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> Any:
    """Return the plain values of a YAML text that may come from anybody.

    Raises:
        UserError: not YAML, more than 200,000 characters, or, once aliases are written out, more than 10,000 values
            or more than 20 levels; the line says which.
    """
    if len(text) > MOST_CHARACTERS:
        raise UserError(f"it has over {MOST_CHARACTERS:,} characters, the limit")
    try:
        _check_extent(text)
        return yaml.load(text, _PlainLoader)  # a SafeLoader
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a tagged date or number that does not exist
        raise UserError(cut(str(error).splitlines()[0])) from None


def _check_extent(text: str) -> None:
    """Count values and levels as if each alias were written out, without doing so."""
    anchored: dict[str | None, tuple[int, int]] = {}  # values and levels of what has an anchor
    opened: list[tuple[str | None, int, int]] = [(None, 0, 0)]  # the collections around, and the file: the same so far
    for event in yaml.parse(text, _PlainLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, 1, 1))
            _check_depth(len(opened) - 1)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor in [anchor for anchor, *_ in opened]:
                raise UserError(f"its '*{event.anchor}' contains itself")
            _add(opened, *anchored.get(event.anchor, (0, 0)))  # none: the reader itself says that it is not there
        elif isinstance(event, yaml.ScalarEvent):
            anchored |= {event.anchor: (1, 1)} if event.anchor else {}
            _add(opened, 1, 1)
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, values, levels = opened.pop()
            anchored |= {anchor: (values, levels)} if anchor else {}
            _add(opened, values, levels)


def _add(opened: list[tuple[str | None, int, int]], values: int, levels: int) -> None:
    """Add what has ended to the collection around it."""
    anchor, before, deepest = opened.pop()
    opened.append((anchor, before + values, max(deepest, 1 + levels)))
    _check_depth(len(opened) - 2 + opened[-1][2])
    if opened[-1][1] > MOST_VALUES:
        raise UserError(f"it has over {MOST_VALUES:,} values, aliases written out: the limit")


def _check_depth(levels: int) -> None:
    if levels > DEEPEST:
        raise UserError(f"it is nested over {DEEPEST} levels deep, the limit")


def parse_settings(words: Sequence[str]) -> dict[str, Any]:
    """Turn ["model.hidden=64", "training.lr=1e-3", ...] into a mapping by dotted names; values are read as YAML.

    Raises:
        UserError: a word without "=", or a value that is not YAML.
    """
    parsed: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"setting '{cut(word)}': write SECTION.FIELD=VALUE")
        try:
            parsed[cut(name.strip())] = _numbers(read_yaml(value))
        except UserError as error:
            raise UserError(f"setting '{cut(word)}': the value cannot be read ({error})") from None
    return parsed


def set_dotted(values: dict[str, Any], name: str, value: Any) -> None:
    """Set `name`, dotted for a field inside a field, in nested mappings.

    Raises:
        UserError: a field on the way is not a mapping.
    """
    *parents, last = name.split(".")
    if len(parents) > DEEPEST:
        raise UserError(f"setting '{cut(name)}': it is nested over {DEEPEST} levels deep, the limit")
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
