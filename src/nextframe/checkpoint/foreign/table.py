"""Which checkpoints of other programs can be read: OpenSTL's models and Keras's ConvLSTM, by their names here."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from nextframe.checkpoint.foreign.reading import Checkpoint
from nextframe.checkpoint.foreign.translated import Translate

TRANSLATIONS: dict[str, str] = {  # model: "module:function" below this package
    "convlstm-openstl": "predrnn:translate_convlstm",
    "predrnn": "predrnn:translate",
    "predrnn++": "predrnn:translate_plus_plus",
    "e3d-lstm": "e3d_lstm:translate",
    "mau": "mau:translate",
    "mim": "mim:translate",
    "phydnet": "phydnet:translate",
    "swinlstm": "swinlstm:translate",
    "simvp": "simvp:translate",
    "tau": "simvp:translate_tau",
    "predformer": "predformer:translate",
    "convlstm-keras": "keras.convlstm:translate",
}
READERS = {"convlstm-keras": "keras.reading:read_keras"}  # of files that torch did not write


def translation(name: str) -> Translate:
    """Return the function that translates checkpoints of model `name`; KeyError if there is none."""
    found: Translate = _loaded(TRANSLATIONS[name])
    return found


def reader(name: str) -> Callable[[Path], Checkpoint]:
    """Return the function that reads a checkpoint of model `name` from its file."""
    found: Callable[[Path], Checkpoint] = _loaded(READERS.get(name, "reading:read_checkpoint"))
    return found


def _loaded(place: str) -> Any:
    module, function = place.split(":")
    return getattr(import_module(f"nextframe.checkpoint.foreign.{module}"), function)
