"""MIM of OpenSTL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated, new_count

FIRST = {"conv_x": "from_input", "conv_h": "from_hidden", "conv_m": "from_memory", "conv_o": "from_both"}
BLOCK = {
    "conv_x_cc": "from_input",
    "conv_t_cc": "from_hidden",
    "conv_s_cc": "from_memory",
    "conv_x_concat": "staying.from_input",
    "conv_h_concat": "staying.from_hidden",
}
CHANGING = {"conv_x_concat": "changing.from_input", "conv_h_concat": "changing.from_hidden"}


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's MIM; of `settings` it needs patch_size.

    Raises:
        UserError: weights of another model, or a setting is missing.
    """
    original = Original("OpenSTL's MIM", state, settings)
    fields = _fields(original)
    weights = new_count()

    def take(theirs: str, ours: str, names: Mapping[str, str]) -> None:
        for one, other in names.items():
            weights.update(original.convolution(f"{theirs}.{one}", f"{ours}.{other}"))

    take("stlstm_layer.0", "first", FIRST)
    weights["first.mix.weight"] = original.take("stlstm_layer.0.conv_last.weight")
    for index in range(fields["layers"] - 1):
        block, change = f"stlstm_layer.{index + 1}", f"stlstm_layer_diff.{index}"
        take(block, f"blocks.{index}", BLOCK)
        take(change, f"blocks.{index}", CHANGING)
        weights[f"blocks.{index}.mix.weight"] = original.take(f"{block}.conv_last.weight")
        weights[f"blocks.{index}.staying.peepholes"] = _peepholes(original, block)
        weights[f"blocks.{index}.changing.peepholes"] = _peepholes(original, change)
        original.drop(f"{change}.conv_last.weight")
    weights["head.weight"] = original.take("conv_last.weight")
    return Translated("mim", fields, weights, original.rest())


def _fields(original: Original) -> dict[str, Any]:
    hidden, rows, columns = original.shape("stlstm_layer_diff.0.oc_weight", 3)
    folded = original.patched(original.shape("conv_last.weight", 4)[0])
    patch = folded["patch"]
    return {
        **folded,
        "frame_height": rows * patch,
        "frame_width": columns * patch,
        "hidden": hidden,
        "layers": original.count("stlstm_layer_diff.{}.oc_weight") + 1,
        "kernel": original.shape("stlstm_layer.0.conv_x.0.weight", 4)[3],
        "norm": "stlstm_layer.0.conv_x.1.weight" in original.left,
    }


def _peepholes(original: Original, cell: str) -> Tensor:
    """Return what our cell has as one: the weights of i and f, which the original has together, and those of o."""
    both, out = original.take(f"{cell}.ct_weight"), original.take(f"{cell}.oc_weight")
    return torch.stack([*both.chunk(2), out])
