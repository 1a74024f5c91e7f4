"""A registry maps names to objects that are imported only when they are needed.

Entries are "module:attribute" strings, so that listing names costs no import of torch, and a new entry is one line.
Others add theirs with `add`, from a plugin file (see `plugins`), or by the entry points of installed packages.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from nextframe.core.errors import UnknownNameError, UserError

T = TypeVar("T")


@dataclass(frozen=True)
class EntryPoint:
    """What an installed package offers under a name: a "module:attribute" path, and the package."""

    path: str
    owner: str


class Registry(Generic[T]):
    """Names of one `kind` of object; the error for an unknown name suggests the nearest known one."""

    def __init__(
        self, kind: str, group: str = "", wanted: str = "", fits: Callable[[str, Any], bool] | None = None
    ) -> None:
        """Make an empty registry.

        Args:
            kind: what an entry is, in the words of an error line: "data set".
            group: the entry points that installed packages use for it: "nextframe.data"; "": none.
            wanted: what an entry has to be, as the end of "NAME is not ...".
            fits: whether an object can be registered under a name; None: any can.
        """
        self.kind, self.group, self.wanted, self.fits = kind, group, wanted, fits
        self._entries: dict[str, str | EntryPoint | T] = {}
        self._packages_read = not group

    def add(self, name: str, entry: str | T) -> None:
        """Register `entry`, a "module:attribute" path or the object itself; a name can be taken only once.

        Raises:
            ValueError: the name is taken (a mistake of the programmer, so not a UserError).
            UserError: the object is not of this kind.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered twice")
        self._entries[name] = entry if isinstance(entry, str) else self._checked(name, entry)

    def add_entry_points(self) -> None:
        """Register what installed packages offer; nothing is imported before it is needed.

        Raises:
            UserError: a package's entry has a name that is taken.
        """
        from importlib.metadata import entry_points

        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            owner = f"package {point.dist.name}" if point.dist else "an installed package"
            if point.name in self._entries or point.name in found:
                raise UserError(f"{self.kind} '{point.name}' of {owner}: the name is taken; choose another")
            found[point.name] = EntryPoint(point.value, owner)
        self._entries |= found
        self._packages_read = True

    def keep(self, names: Collection[str]) -> None:
        """Forget every entry whose name is not in `names`."""
        self._entries = {name: entry for name, entry in self._entries.items() if name in names}

    def get(self, name: str) -> T:
        """Import and return what is registered as `name`.

        Raises:
            UnknownNameError: nothing has that name; the line gives the nearest.
            UserError: an installed package's entry that cannot be imported, or an entry that is not of this kind.
        """
        known = self._known()
        if name not in known:
            raise UnknownNameError(self.kind, name, known)
        entry = known[name]
        if isinstance(entry, str | EntryPoint):
            entry = known[name] = self._checked(name, self._imported(name, entry))
        return entry

    def name_of(self, thing: object) -> str | None:
        """Return the first name of a class or function, importing no other entry; None: not registered."""
        path = f"{getattr(thing, '__module__', '')}:{getattr(thing, '__qualname__', '')}"
        for name, entry in self._known().items():
            if entry is thing or (entry.path if isinstance(entry, EntryPoint) else entry) == path:
                return name
        return None

    def names(self) -> list[str]:
        """Return every name, in the order of registration."""
        return list(self._known())

    def __contains__(self, name: object) -> bool:
        return name in self._known()

    def __iter__(self) -> Iterator[str]:
        return iter(self._known())

    def _known(self) -> dict[str, str | EntryPoint | T]:
        """Return all entries; those of installed packages are looked up the first time, not at import."""
        if not self._packages_read:
            self.add_entry_points()
        return self._entries

    def _imported(self, name: str, entry: str | EntryPoint) -> Any:
        if isinstance(entry, str):
            return _import(entry)
        try:
            return _import(entry.path)
        except Exception as error:  # any error of another package's code is that package's to fix
            why = f"{type(error).__name__}: {error}"
            raise UserError(f"{self.kind} '{name}' of {entry.owner} cannot be imported: {why}") from error

    def _checked(self, name: str, thing: Any) -> T:
        if self.fits is not None and not self.fits(name, thing):
            raise UserError(f"{self.kind} '{name}' is not {self.wanted}")
        return cast(T, thing)


def takes(thing: object, count: int) -> bool:
    """Return whether `thing` can be called with `count` positional arguments, as far as its signature tells."""
    if not callable(thing):
        return False
    try:
        inspect.signature(thing).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def _import(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)
