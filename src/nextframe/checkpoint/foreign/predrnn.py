"""OpenSTL's PredRNN, PredRNN v2, PredRNN++ and ConvLSTM, which are built alike: cells, and a head on the top one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated, new_count

ST_LSTM = {"conv_x": "from_input", "conv_h": "from_hidden", "conv_m": "from_memory", "conv_o": "from_both"}
CAUSAL = {
    "conv_x": "from_input",
    "conv_h": "from_hidden",
    "conv_c": "from_own",
    "conv_m": "from_memory",
    "conv_c2m": "from_new_own",
    "conv_om": "from_new_memory",
}
LSTM = {"conv_x": "from_input", "conv_h": "from_hidden"}
SAMPLING = {  # ours: OpenSTL's
    "fall": "sampling_changing_rate",
    "stop": "sampling_stop_iter",
    "first": "r_sampling_step_1",
    "second": "r_sampling_step_2",
    "decay": "r_exp_alpha",
}


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's PredRNN or PredRNN v2; of `settings` it needs patch_size.

    Raises:
        UserError: weights of another model, or a setting is missing.
    """
    original = Original("OpenSTL's PredRNN", state, settings)
    fields = _fields(original)
    weights = _cells(original, ST_LSTM, "mix")
    if "adapter.weight" in original.left:
        fields |= {"version": 2, "decouple": settings.get("decouple_beta", 0.1)}
        if fields["decouple"]:
            weights["adapter.weight"] = original.take("adapter.weight")
        else:
            original.drop("adapter.weight")
    return Translated("predrnn", fields, weights, original.rest())


def translate_plus_plus(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's PredRNN++, whose cells have an output convolution that is never called; as `translate` does."""
    original = Original("OpenSTL's PredRNN++", state, settings)
    fields = _fields(original)
    for index in range(fields["layers"]):
        _drop(original, f"cell_list.{index}.conv_o")
    weights = _cells(original, CAUSAL, "mix")
    for theirs, ours in (("z_concat", "from_state"), ("x_concat", "from_input")):
        weights |= original.convolution(f"gradient_highway.{theirs}", f"highway.{ours}")
    return Translated("predrnn++", fields, weights, original.rest())


def translate_convlstm(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's ConvLSTM, whose cells have two convolutions that are never called; as `translate` does."""
    original = Original("OpenSTL's ConvLSTM", state, settings)
    fields = _fields(original)
    for index in range(fields["layers"]):
        _drop(original, f"cell_list.{index}.conv_o")
        original.drop(f"cell_list.{index}.conv_last.weight")
    return Translated("convlstm-openstl", fields, _cells(original, LSTM), original.rest())


def _fields(original: Original) -> dict[str, Any]:
    """Return the fields that all of them have."""
    first, kernel = original.shape("cell_list.0.conv_h.0.weight", 4)[1:3]
    widths = [original.shape(f"cell_list.{index}.conv_h.0.weight", 4)[1] for index in range(_layers(original))]
    if set(widths) != {first}:
        raise original.foreign(f"its layers have widths {widths}, and ours one width")
    fields: dict[str, Any] = {
        **original.patched(original.shape("conv_last.weight", 4)[0]),
        "hidden": first,
        "layers": len(widths),
        "kernel": kernel,
        "norm": "cell_list.0.conv_x.1.weight" in original.left,
        "sampling": _sampling(original.settings),
    }
    if fields["norm"]:
        _, rows, columns = original.shape("cell_list.0.conv_x.1.weight", 3)
        fields |= {"frame_height": rows * fields["patch"], "frame_width": columns * fields["patch"]}
    return fields


def _sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of scheduled sampling that `settings` tell."""
    sampling = {ours: settings[theirs] for ours, theirs in SAMPLING.items() if theirs in settings}
    if "reverse_scheduled_sampling" in settings:
        sampling["kind"] = "reverse" if settings["reverse_scheduled_sampling"] else "scheduled"
    return sampling


def _layers(original: Original) -> int:
    return original.count("cell_list.{}.conv_x.0.weight")


def _cells(original: Original, names: Mapping[str, str], mix: str = "") -> dict[str, Tensor]:
    """Take the weights of the cells and the head; `mix` is our name of the cells' 1x1 convolution, "" for none."""
    weights = new_count()
    for index in range(_layers(original)):
        for theirs, ours in names.items():
            weights |= original.convolution(f"cell_list.{index}.{theirs}", f"cells.{index}.{ours}")
        if mix:
            weights[f"cells.{index}.{mix}.weight"] = original.take(f"cell_list.{index}.conv_last.weight")
    weights["head.weight"] = original.take("conv_last.weight")
    return weights


def _drop(original: Original, theirs: str) -> None:
    original.drop(*(f"{theirs}.{part}" for part in original.parts(theirs)))
