"""A registry maps names to things that are imported only when they are asked for.

Entries are "module:attribute" strings, so that listing names costs no import of torch, and a new entry is one line.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator
from typing import Generic, TypeVar, cast

from nextframe.core.errors import UnknownNameError

T = TypeVar("T")


class Registry(Generic[T]):
    """Names of one `kind` of thing; unknown names are answered with the nearest known one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, str | T] = {}

    def add(self, name: str, entry: str | T) -> None:
        """Register `entry`, a "module:attribute" path or the thing itself; a name can be taken only once.

        Raises:
            ValueError: the name is taken (a mistake of the programmer, so not a UserError).
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry

    def keep(self, names: Collection[str]) -> None:
        """Forget every entry whose name is not in `names`."""
        self._entries = {name: entry for name, entry in self._entries.items() if name in names}

    def get(self, name: str) -> T:
        """Import and return what `name` stands for; UnknownNameError with a suggestion where there is none."""
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        entry = self._entries[name]
        if isinstance(entry, str):
            module, _, attribute = entry.partition(":")
            entry = cast(T, getattr(importlib.import_module(module), attribute))
            self._entries[name] = entry
        return entry

    def name_of(self, thing: object) -> str | None:
        """Return the first name of a class or function, importing no other entry; None: not registered."""
        path = f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', '')}"
        return next((name for name, entry in self._entries.items() if entry is thing or entry == path), None)

    def names(self) -> list[str]:
        """Return every name, in the order of registration."""
        return list(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)
