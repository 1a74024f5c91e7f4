"""Format numbers: a file of an older version is brought up to date when it is read, a newer one is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from os import PathLike
from typing import Any

from nextframe.core.errors import BadInputError

Migration = Callable[[dict[str, Any]], dict[str, Any]]
UPGRADE = "upgrade: pip install --upgrade nextframe"


class NewerFormatError(BadInputError):
    """A file of a format that this version does not know yet."""


class Formats:
    """The formats of one kind of file, numbered from 1, with a function from each to the next.

    A migration takes all values of the file and returns those of the next format. It sees them before anything is
    checked, so it renames what it finds and leaves the rest.
    """

    def __init__(self, migrations: Mapping[int, Migration]) -> None:
        if sorted(migrations) != list(range(1, len(migrations) + 1)):
            raise ValueError(f"migrations start at formats {sorted(migrations)}: number them 1, 2, 3, ...")
        self._migrations = dict(migrations)

    @property
    def newest(self) -> int:
        """The format that is written."""
        return len(self._migrations) + 1

    def check(self, number: object, where: str | PathLike[str], fix: str = UPGRADE) -> int:
        """Check and return the format `number` of the file `where`.

        Raises:
            NewerFormatError: a newer nextframe wrote it; the line ends with `fix`.
            BadInputError: it is not a format number.
        """
        reads = "this one reads 1" + (f" to {self.newest}" if self.newest > 1 else "")
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise BadInputError(where, f"has format {number!r}, which is not a format of nextframe: {reads}", fix)
        if number > self.newest:
            raise NewerFormatError(where, f"has format {number} and was written by a newer nextframe: {reads}", fix)
        return number

    def migrate(self, values: Mapping[str, Any], where: str | PathLike[str], fix: str = UPGRADE) -> dict[str, Any]:
        """Return `values` of the file `where` in the newest format, without their field 'format'; none means format 1.

        Raises:
            BadInputError: as for `check`.
        """
        migrated = {name: value for name, value in values.items() if name != "format"}
        for number in range(self.check(values.get("format", 1), where, fix), self.newest):
            migrated = self._migrations[number](migrated)
        return migrated
