"""A checkpoint of another program, read as tensors and plain values: nothing in it is executed.

A checkpoint is a pickle, which names functions to call. torch's reader of weights refuses all but those that make
tensors. Beside weights, Lightning's checkpoints hold settings, whose usual types are let through as the stand-ins
below: they keep what was stored and do nothing else.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextframe.core.errors import BadInputError

STATE, SETTINGS = "state_dict", ("hyper_parameters", "hparams", "args", "config")
_REFUSED = re.compile(r"GLOBAL (\S+) (?:was not|whose module)")
_NUMBER = re.compile(r"b1|[iuf][1248]")
_EXTRACT = (
    'import sys, torch; torch.save(torch.load(sys.argv[1], "cpu", weights_only=False)["state_dict"], sys.argv[2])'
)


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: tensors by name, and the settings of its training, {} where it has none."""

    state: dict[str, Tensor]
    settings: dict[str, Any]


class _Namespace:
    """Stands in for argparse's: its attributes are the settings."""


class _DType:
    """Stands in for numpy's, of little-endian numbers and truth values: the text that names it."""

    def __init__(self, text: object = "", *_: object) -> None:
        self.text = text if isinstance(text, str) and _NUMBER.fullmatch(text) else ""

    def __setstate__(self, state: object) -> None:
        """Take the byte order; the rest of `state` is of other types."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", "|"):
            self.text = ""


class _Scheduler:
    """Stands in for torch's OneCycleLR, of which old versions store a function."""


def _nothing(*_: object) -> None:
    """Stand in for the look-up of that function, which has no use here."""


def _scalar(dtype: object, data: object = b"") -> float | int | bool | None:
    """Return numpy's scalar as Python's: a number or a truth value; None for any other."""
    if not isinstance(dtype, _DType) or not dtype.text or not isinstance(data, bytes):
        return None
    kind = np.dtype(dtype.text).newbyteorder("<")
    found: float | int | bool | None = np.frombuffer(data, kind).item() if len(data) == kind.itemsize else None
    return found


def _path(*parts: object) -> str:
    return "/".join(map(str, parts))


_PATHS = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")
INERT: list[Any] = [
    (_Namespace, "argparse.Namespace"),
    (_DType, "numpy.dtype"),
    (_scalar, "numpy.core.multiarray.scalar"),
    (_scalar, "numpy._core.multiarray.scalar"),
    *((_path, f"{module}.{name}") for module in ("pathlib", "pathlib._local") for name in _PATHS),
    (_Scheduler, "torch.optim.lr_scheduler.OneCycleLR"),
    (_nothing, "builtins.getattr"),
]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a Lightning checkpoint, a dict with a `state_dict`, or a state dict itself, onto the CPU.

    Settings are those under `hyper_parameters` and the like; the attributes of a Namespace are settings too.

    Raises:
        BadInputError: no such file, not a checkpoint, or one that holds more than tensors and plain values: the line
            has the command that extracts the tensors where the file's own program is at hand.
    """
    if not path.is_file():
        raise BadInputError(path, "no such file" if not path.exists() else "is a folder", "give a .ckpt or .pth file")
    found = _loaded(path)
    if not isinstance(found, Mapping):
        raise BadInputError(path, f"holds a {type(found).__name__.lstrip('_')}, not weights by name")
    state = found.get(STATE, found)
    if not isinstance(state, Mapping) or not state or not all(map(_is_weight, state.values())):
        raise BadInputError(path, f"has no '{STATE}' of tensors, and is none itself", "give a checkpoint of a model")
    settings = _settings(found) if STATE in found else {}
    return Checkpoint({str(name): value for name, value in state.items()}, settings)


def _loaded(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(INERT):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # noqa: BLE001  # a stranger's bytes may fail anywhere in the reader
        if refused := _REFUSED.search(str(error)):
            words = ["python", "-c", _EXTRACT, str(path), f"{path.stem}.weights.pth"]
            what = f"holds {refused[1]}, which only running code from the file can read"
            fix = f"if you trust it, extract its weights where it was made: {shlex.join(words)}"
            raise BadInputError(path, what, fix) from None
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise BadInputError(path, f"is not a checkpoint of torch, or is damaged ({line})") from None


def _is_weight(value: object) -> bool:
    return isinstance(value, Tensor) and value.layout is torch.strided and value.device.type == "cpu"


def _settings(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings, those of Namespaces among them as if they stood beside them."""
    settings: dict[str, Any] = {}
    for section in SETTINGS:
        settings |= _plain(found.get(section))
    return settings


def _plain(values: object) -> dict[str, Any]:
    if isinstance(values, _Namespace):
        values = vars(values)
    if not isinstance(values, Mapping):
        return {}
    inner = [value for value in values.values() if isinstance(value, _Namespace)]
    merged = {str(name): value for name, value in values.items() if not isinstance(value, _Namespace)}
    for namespace in inner:
        merged |= {name: value for name, value in vars(namespace).items() if not isinstance(value, _Namespace)}
    return merged
