"""A ConvLSTM that Keras saved, from any of the files that Keras and TensorFlow write.

What is read are numbers, and JSON that says how layers use them; a network's own code, which these files may also
hold, is left alone.
"""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nextframe.checkpoint.foreign.keras.bundle import Bundle
from nextframe.checkpoint.foreign.keras.hdf5 import Arrays, arrays_of, inside, listed_arrays, open_hdf5
from nextframe.checkpoint.foreign.keras.network import read_network
from nextframe.checkpoint.foreign.keras.tensors import PARTS, in_order, named
from nextframe.checkpoint.foreign.keras.wire import DamagedError, read_message
from nextframe.checkpoint.foreign.reading import Checkpoint
from nextframe.core.errors import BadInputError, UserError

GIVE = "give a .keras, .weights.h5 or .h5 file of Keras, or the folder of a SavedModel"
_MOST = 1 << 28  # bytes of a file inside another
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
_FLAT = re.compile(r"variables/\d+")


def read_keras(path: Path) -> Checkpoint:
    """Return the tensors of `tensors.named`, and as settings "keras", the version, and what `read_network` finds.

    Raises:
        BadInputError: none of those files, one that is damaged, or one of another network; the line says which.
    """
    index = path / "variables.index" if path.name == "variables" else path / "variables" / "variables.index"
    if not path.exists() or (path.is_dir() and not index.is_file()):
        raise BadInputError(path, f"has no {index.relative_to(path)}" if path.exists() else "no such file", GIVE)
    try:
        if path.is_dir():
            arrays, settings = _saved_model(index)
        elif zipfile.is_zipfile(path):
            arrays, settings = _archive(path)
        else:
            arrays, settings = _hdf5(path)
        return Checkpoint(named(arrays), settings)
    except BadInputError:
        raise
    except UserError as error:
        raise BadInputError(path, f"is not the Keras example's ConvLSTM: {error}") from None


def _saved_model(index: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Read the variables of a SavedModel; one of Keras 2 has its network's config beside them."""
    bundle = Bundle(index)
    values = [name.removesuffix(_VALUE) for name in bundle.entries if name.endswith(_VALUE)]
    used = [name for name in values if _FLAT.fullmatch(name) or _is_part(name)]
    arrays = in_order({name: bundle.read(name + _VALUE) for name in used})
    metadata = index.parent.parent / "keras_metadata.pb"
    if not metadata.is_file():
        old = any(name.startswith("layer_with_weights") for name in used)
        return arrays, {"keras": 2 if old else 3}
    return arrays, {"keras": 2, **_metadata(metadata)}


def _is_part(name: str) -> bool:
    """Whether a variable is a layer's, and not an optimiser's copy."""
    return name.rpartition("/")[2].lstrip("_") in PARTS and ".OPTIMIZER_SLOT" not in name


def _metadata(path: Path) -> dict[str, Any]:
    """Read the network's config of a SavedMetadata: nodes, of which the network's is the one at the root."""
    try:
        nodes = [read_message(node) for node in read_message(path.read_bytes()).get(1, []) if isinstance(node, bytes)]
        found = [node[5][0] for node in nodes if 5 in node and node.get(3) == [b"root"]]
        if not found or not isinstance(found[0], bytes):
            raise DamagedError("it has no root")
    except DamagedError as error:
        raise BadInputError(path, f"is not the metadata of Keras, or is damaged ({error})") from None
    return read_network(found[0], 2)


def _archive(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Read a .keras file: a zip of config.json, metadata.json and model.weights.h5."""
    try:
        with zipfile.ZipFile(path) as archive:
            metadata, config, weights = (
                _member(archive, name) for name in ("metadata.json", "config.json", "model.weights.h5")
            )
        version = _version(json.loads(metadata).get("keras_version"))
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, ValueError, AttributeError, RecursionError) as error:
        raise BadInputError(path, f"is not a .keras file, or is damaged ({error})", GIVE) from None
    except KeyError as error:
        raise BadInputError(path, f"is a zip, but not of Keras: {error.args[0]}", GIVE) from None
    with open_hdf5(path, weights) as file:
        arrays = in_order(arrays_of(file, path))
    return arrays, {"keras": version, **read_network(config, version)}


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    info = archive.getinfo(name)
    if info.file_size > _MOST:
        raise ValueError(f"{name} is larger than {_MOST >> 20} MiB")
    return archive.read(info)


def _hdf5(path: Path) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Read weights alone of Keras 3, or the older layout, of weights alone or with the network's config."""
    with open_hdf5(path) as file:
        whole = inside(file, "model_weights", path) if "model_weights" in file else file
        if "layer_names" not in whole.attrs:
            arrays: Arrays = arrays_of(file, path)
            return in_order(arrays), {"keras": 3 if any(name.startswith("layers/") for name in arrays) else 2}
        version = _version(file.attrs.get("keras_version", whole.attrs.get("keras_version")))
        config = file.attrs.get("model_config")
        told = {} if config is None else read_network(config, version)
        return listed_arrays(whole, path), {"keras": version, **told}


def _version(text: object) -> int:
    """Return Keras's first number, of "3.15.1" 3; what does not say it was written by Keras 2."""
    found = re.match(rb"\d+", text if isinstance(text, bytes) else str(text).encode())
    return int(found[0]) if found else 2
