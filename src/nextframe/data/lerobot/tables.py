"""Columns of Parquet files, read with pyarrow, and the rows of each episode in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nextframe.core.errors import BadInputError, NotSupportedError

INSTALL = "a LeRobot data set needs pyarrow: pip install 'nextframe[lerobot]'"


@dataclass(frozen=True)
class Rows:
    """The rows of one episode: their times in seconds from its start (T,), and columns of numbers (T, N) float32."""

    times: NDArray[np.float64]
    columns: dict[str, NDArray[np.float32]]


def read_table(file: Path, columns: Sequence[str]) -> Any:
    """Return the named columns of a Parquet file as a table of pyarrow.

    Raises:
        NotSupportedError: pyarrow is not installed.
        BadInputError: no such file, one that is not Parquet, or one without these columns.
    """
    try:
        import pyarrow as arrow
        from pyarrow import parquet
    except ImportError:
        raise NotSupportedError(INSTALL) from None
    if not file.is_file():
        raise BadInputError(file, "there is no such file", "copy the whole data set")
    try:
        there = set(parquet.read_schema(file).names)
        missing = [name for name in columns if name not in there]
        if missing:
            raise BadInputError(file, f"has no column '{missing[0]}'")
        return parquet.read_table(file, columns=list(columns), partitioning=None)
    except (arrow.ArrowException, OSError) as error:
        raise BadInputError(file, f"cannot be read as Parquet ({str(error).splitlines()[0]})") from None


class DataTable:
    """A table of `data/`: the rows of one episode, or of several after one another."""

    def __init__(self, file: Path, columns: Sequence[str]) -> None:
        """Read the times and `columns` of a file; BadInputError if one is not of numbers."""
        self.file = file
        table = read_table(file, ["episode_index", "frame_index", "timestamp", *columns])
        self._episodes, self._frames = (_numbers(file, table, name)[:, 0] for name in ("episode_index", "frame_index"))
        self._times = _numbers(file, table, "timestamp")[:, 0]
        self._columns = {name: _numbers(file, table, name).astype(np.float32) for name in columns}

    def rows(self, episode: int, length: int) -> Rows:
        """Return the rows of an episode, which should be `length`, in order of their frames.

        Raises:
            BadInputError: another number of rows, or frames that are not 0, 1, 2, ...
        """
        at = np.flatnonzero(self._episodes == episode)
        if len(at) != length:
            raise BadInputError(self.file, f"has {len(at)} rows of episode {episode}, meta says {length}")
        at = at[np.argsort(self._frames[at], kind="stable")]
        if not np.array_equal(self._frames[at], np.arange(length)):
            raise BadInputError(self.file, f"frame_index of episode {episode} is not 0, 1, 2, ..., {length - 1}")
        return Rows(self._times[at], {name: values[at] for name, values in self._columns.items()})


def _numbers(file: Path, table: Any, name: str) -> NDArray[np.float64]:
    """Return a column of numbers, or of lists of as many numbers each, as (rows, N)."""
    from pyarrow import compute, types

    column, alike = table.column(name), True
    while types.is_nested(column.type) and not types.is_struct(column.type):
        lengths = compute.min_max(compute.list_value_length(column)).as_py()
        alike, column = alike and lengths["min"] == lengths["max"], compute.list_flatten(column)
    is_number = types.is_integer(column.type) or types.is_floating(column.type) or types.is_boolean(column.type)
    if not (alike and is_number and (not table.num_rows or len(column) % table.num_rows == 0)):
        raise BadInputError(file, f"its column '{name}' does not hold as many numbers in each row")
    flat: NDArray[np.float64] = column.to_numpy().astype(np.float64)
    values = flat.reshape(table.num_rows, -1 if table.num_rows else 1)
    if not np.isfinite(values).all():
        raise BadInputError(file, f"row {int(np.argwhere(~np.isfinite(values))[0, 0])} of '{name}' is not finite")
    return values
