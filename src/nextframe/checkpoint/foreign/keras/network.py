"""What the config of a network that Keras saved says beside its weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from nextframe.core.errors import UserError, shown

KEPT: dict[str, dict[str, tuple[Any, ...]]] = {  # layer: setting: the values with which it does what ours does
    "ConvLSTM2D": {
        "padding": ("same",),
        "strides": ([1, 1],),
        "dilation_rate": ([1, 1],),
        "data_format": ("channels_last",),
        "return_sequences": (True,),
        "go_backwards": (False,),
        "use_bias": (True,),
    },
    "BatchNormalization": {"axis": (-1, 4, [4]), "epsilon": (0.001,), "center": (True,), "scale": (True,)},
    "Conv3D": {
        "padding": ("same",),
        "strides": ([1, 1, 1],),
        "dilation_rate": ([1, 1, 1],),
        "data_format": ("channels_last",),
        "activation": ("sigmoid",),
        "use_bias": (True,),
        "groups": (1,),
    },
}


def read_network(text: str | bytes, keras: int) -> dict[str, Any]:
    """Return the settings "activation", "gate" and, with batch norm, "norm_momentum" of a network's config.

    Args:
        text: the config as JSON.
        keras: the version of Keras, 2 or 3: their hard sigmoids differ.

    Raises:
        UserError: another network than the example's, or a setting with which it computes something else.
    """
    layers = _layers(text)
    recurrent = [config for kind, config in layers if kind == "ConvLSTM2D"]
    norms = [config for kind, config in layers if kind == "BatchNormalization"]
    kinds = [kind for kind, _ in layers]
    between = ["BatchNormalization"] if norms else []
    if kinds != [*["ConvLSTM2D", *between] * (len(recurrent) - 1), "ConvLSTM2D", "Conv3D"]:
        raise UserError(f"its layers are {shown(kinds)}, not ConvLSTM2D, batch norm between them, and a Conv3D")
    for kind, config in layers:
        _check(kind, config)
    gate = _same(recurrent, "recurrent_activation")
    if gate == "hard_sigmoid" and keras != 2:
        raise UserError("the gates are Keras 3's hard_sigmoid, which is another function than Keras 2's, and ours")
    found = {"activation": _same(recurrent, "activation"), "gate": gate}
    return found | ({"norm_momentum": _share(_same(norms, "momentum"))} if norms else {})


def _layers(text: str | bytes) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the class and the config of each layer but the input."""
    try:
        layers = json.loads(text, object_hook=_plain)["config"]["layers"]
        found = [(layer["class_name"], layer["config"]) for layer in layers]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"the network's config cannot be read ({type(error).__name__} {error})") from None
    if not all(isinstance(config, Mapping) for _, config in found):
        raise UserError("the network's config has a layer without settings")
    return [(str(kind), config) for kind, config in found if kind != "InputLayer"]


def _plain(value: dict[str, Any]) -> Any:
    """Return a tuple as the list that it is elsewhere: Keras 2 writes it as an object."""
    return value["items"] if value.get("class_name") == "__tuple__" and "items" in value else value


def _check(kind: str, config: Mapping[str, Any]) -> None:
    for name, values in KEPT[kind].items():
        if config.get(name, values[0]) not in values:
            raise UserError(f"a {kind} has {name} {shown(config[name])}, and can be read with {shown(values[0])} only")


def _same(configs: list[Mapping[str, Any]], name: str) -> Any:
    """Return the setting of all layers of a kind, which must have one and the same."""
    values = [config.get(name) for config in configs]
    if any(value != values[0] for value in values):
        raise UserError(f"the layers have {name} {shown(values)}, and ours one and the same")
    return values[0]


def _share(momentum: Any) -> float:
    """Return our momentum of batch norm, the share of the new batch, of Keras's, which is that of the old ones."""
    if not isinstance(momentum, int | float):
        raise UserError(f"the momentum of batch norm is {shown(momentum)}, and must be a number")
    return round(1 - momentum, 12)
