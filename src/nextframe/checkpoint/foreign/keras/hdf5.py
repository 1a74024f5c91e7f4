"""The arrays of an HDF5 file in which Keras saved weights; links out of the file are never followed."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.core.errors import BadInputError, NotSupportedError

Arrays = dict[str, np.ndarray]
_MOST, _GROUPS = 1 << 30, 10_000  # bytes of an array; groups and arrays of a file


def open_hdf5(path: Path, content: bytes | None = None) -> Any:
    """Return the HDF5 file at `path`, or the one whose bytes are `content` and which came from `path`.

    Raises:
        NotSupportedError: h5py is not installed; the line says how.
        BadInputError: not an HDF5 file.
    """
    try:
        import h5py
    except ImportError:
        raise NotSupportedError("weights of Keras in HDF5 need h5py: pip install 'nextframe[keras]'") from None
    try:
        return h5py.File(path if content is None else BytesIO(content), "r")
    except OSError as error:
        raise BadInputError(path, f"is not an HDF5 file of Keras, or is damaged ({error})") from None


def arrays_of(group: Any, path: Path) -> Arrays:
    """Return every array below `group` by its place in it, such as 'layers/conv3d/vars/0', but an optimiser's.

    Raises:
        BadInputError: an array that is elsewhere or huge, a link, more groups than a network has, or a damaged file.
    """
    found: Arrays = {}
    left = [(name, group) for name in group if name != "optimizer"]
    for _ in range(_GROUPS):
        if not left:
            return found
        place, holder = left.pop()
        inner = inside(holder, place, path)
        if isinstance(inner, Mapping):  # a group
            left += [(f"{place}/{name}", inner) for name in inner]
        elif inner.dtype.kind in "fiu":
            found[place] = _values(inner, place, path)
    raise BadInputError(path, f"has more than {_GROUPS} groups, which no network of Keras's has")


def listed_arrays(group: Any, path: Path) -> list[np.ndarray]:
    """Return the arrays that a group of the older layout lists, layer after layer.

    Raises:
        BadInputError: as `arrays_of`, or one that is listed and not there.
    """
    found = arrays_of(group, path)
    try:
        layers = [_text(layer) for layer in group.attrs["layer_names"]]
        places = [f"{layer}/{_text(name)}" for layer in layers for name in group[layer].attrs["weight_names"]]
        return [found[place] for place in places]
    except (OSError, RuntimeError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BadInputError(path, f"lists layers that are not there ({error})") from None


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def inside(group: Any, place: str, path: Path) -> Any:
    """Return the group or array at the end of `place`, which is in `group` itself and not behind a link."""
    import h5py

    name = place.rpartition("/")[2]
    try:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            return group[name]
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # what h5py raises of damaged files
        raise BadInputError(path, f"'{place}' is damaged ({str(error).splitlines()[0]})") from None
    raise BadInputError(path, f"'{place}' is a link, which Keras does not write")


def _values(data: Any, name: str, path: Path) -> np.ndarray:
    if data.external or data.is_virtual or data.nbytes > _MOST:
        raise BadInputError(path, f"'{name}' is in another file or is larger than 1 GiB, which weights are not")
    try:
        values: np.ndarray = data[()]
    except (OSError, RuntimeError, ValueError) as error:
        raise BadInputError(path, f"'{name}' is damaged ({str(error).splitlines()[0]})") from None
    return values
