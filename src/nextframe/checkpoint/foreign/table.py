"""Which checkpoints of other programs can be read: the models of OpenSTL, by the name that they have here."""

from __future__ import annotations

from importlib import import_module

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
}


def translation(name: str) -> Translate:
    """Return the function that translates checkpoints of model `name`; KeyError if there is none."""
    module, function = TRANSLATIONS[name].split(":")
    found: Translate = getattr(import_module(f"nextframe.checkpoint.foreign.{module}"), function)
    return found
