"""E3D-LSTM of OpenSTL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated, new_count

CELL = {"conv_h": "from_hidden", "conv_new_cell": "from_memory", "conv_new_gm": "from_passing"}


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's E3D-LSTM; of `settings` it needs patch_size.

    What sees only the memory that stays zero is dropped: conv_gm, and of conv_x the seventh gate.

    Raises:
        UserError: weights of another model or with layer norm, or a setting is missing.
    """
    original = Original("OpenSTL's E3D-LSTM without layer norm", state, settings)
    fields = _fields(original)
    weights = new_count()
    for index in range(fields["layers"]):
        theirs, ours = f"cell_list.{index}", f"cells.{index}"
        gates = original.take(f"{theirs}.conv_x.0.conv3d.weight").flatten(1, 2)
        weights[f"{ours}.from_input.weight"] = gates[: 6 * fields["hidden"]]
        for one, other in CELL.items():
            weights[f"{ours}.{other}.weight"] = original.take(f"{theirs}.{one}.0.conv3d.weight").flatten(1, 2)
        for part in ("weight", "bias"):
            weights[f"{ours}.norm.{part}"] = original.take(f"{theirs}._norm_c_t.{part}")
        weights[f"{ours}.mix.weight"] = original.take(f"{theirs}.conv_last.conv3d.weight")
        original.drop(f"{theirs}.conv_gm.0.conv3d.weight")
        original.dropped.append(f"{theirs}.conv_x.0.conv3d.weight[{6 * fields['hidden']}:]")
    weights["head.weight"] = original.take("conv_last.weight").flatten(1, 2)
    return Translated("e3d-lstm", fields, weights, original.rest())


def _fields(original: Original) -> dict[str, Any]:
    hidden, window, rows, columns = original.shape("cell_list.0._norm_c_t.weight", 4)
    folded = original.patched(original.shape("conv_last.weight", 5)[0])
    patch = folded["patch"]
    return {
        **folded,
        "frame_height": rows * patch,
        "frame_width": columns * patch,
        "hidden": hidden,
        "layers": original.count("cell_list.{}._norm_c_t.weight"),
        "kernel": original.shape("cell_list.0.conv_x.0.conv3d.weight", 5)[4],
        "window": window,
    }
