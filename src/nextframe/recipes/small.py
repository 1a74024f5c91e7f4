"""Models scaled by their own fields to at most 1 GMAC a clip: the table `moving-mnist-small` of one thread's minutes.

A clip is one of MNIST's digits in 32x32, 5 frames in, 5 out. What a model has by default stays where nothing is said.
Models of the registry that are not listed take at most 1 GMAC by default, and have no recipe here.
`tests/test_small_table.py` counts.

Cited models: Adam, at the highest rate 1e-3, which half of their protocols have; those protocols' other rates are for
runs that are a hundred times longer. Recurrent ones read their own predictions after the context from the first step
on: their protocols' chances of true frames fall over 50,000 steps, more than a thread takes in minutes.
"""

from __future__ import annotations

from typing import Any

from nextframe.data import DataConfig
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig

SMALL_DATA = DataConfig(
    name="moving-mnist",
    context=5,
    horizon=5,
    size=(32, 32),
    options={"count": 1, "test": "generated", "test_clips": 1_000},
)
TRAINING = TrainingConfig(minutes=10, clock="processor", schedule="onecycle", checkpoint_every=100, val_clips=256)
_ADAM = {"optimizer": "adam", "lr": 1e-3}
_ADAMW = {"optimizer": "adamw", "lr": 1e-3, "weight_decay": 1e-2}  # as in PredFormer's protocol
_OWN: dict[str, Any] = {"sampling": {"stop": 0}}  # no true frame after the context
_TRANSLATED: dict[str, Any] = {"encoder_width": 16, "encoder_layers": 2, "width": 192, "ratio": 4.0}

FIELDS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {  # model, its fields, training
    "small-compact": ("compact", {"patch": 2, "width": 128}, {"ema": 0.99, "grad_clip": 1.0}),
    "small-convlstm": ("convlstm", {"hidden": (24, 24, 24)}, {}),
    "small-convlstm-openstl": ("convlstm-openstl", {"hidden": 48, **_OWN}, _ADAM),
    "small-simvp": ("simvp", _TRANSLATED, _ADAM),
    "small-simvp-v1": ("simvp", {**_TRANSLATED, "translator": "incepu", "width": 128}, _ADAM),
    "small-tau": ("tau", _TRANSLATED, _ADAM),
    "small-predformer": (
        "predformer",
        {"patch": 4, "width": 96, "heads": 4, "head_width": 24, "layers": 4},
        _ADAMW,
    ),
    "small-predrnn": ("predrnn", {"hidden": 32, **_OWN}, _ADAM),
    "small-predrnn++": ("predrnn++", {"hidden": 26, **_OWN}, _ADAM),
    "small-mim": ("mim", {"hidden": 24, **_OWN}, _ADAM),
    "small-mau": ("mau", {"hidden": 40, **_OWN}, _ADAM),
    "small-e3d-lstm": ("e3d-lstm", {"hidden": 24, **_OWN}, _ADAM),
    "small-phydnet": ("phydnet", {"width": 16, "hidden": (96, 96, 32), **_OWN}, _ADAM),
    "small-swinlstm": ("swinlstm", {"width": 40}, _ADAM),
}


def small(model: str, fields: dict[str, Any], training: dict[str, Any]) -> Recipe:
    """Return the recipe of `model` with `fields`; `training` says what differs from all others."""
    section = ModelSection(name=model, fields=fields)
    return Recipe(model=section, data=SMALL_DATA, training=TRAINING.model_copy(update=training))


SMALL: dict[str, Recipe] = {name: small(*parts) for name, parts in FIELDS.items()}
