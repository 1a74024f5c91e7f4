"""MAU of OpenSTL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated, new_count

UNIT = {"conv_t": "from_time", "conv_s": "from_space", "conv_t_next": "last", "conv_s_next": "alike"}


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's MAU; of `settings` it needs patch_size, tau, cell_mode and model_mode.

    Raises:
        UserError: weights of another model, or a setting is missing.
    """
    original = Original("OpenSTL's MAU", state, settings)
    fields = _fields(original)
    weights = new_count()
    for part in ("weight", "bias"):
        for layer in range(fields["layers"]):
            for theirs, ours in UNIT.items():
                for index in (0, 1):
                    name = f"units.{layer}.{ours}.{index}.{part}"
                    weights[name] = original.take(f"cell_list.{layer}.{theirs}.{index}.{part}")
        weights[f"stem.0.{part}"] = original.take(f"encoders.0.encoder_t_conv-1.{part}")
        weights[f"head.{part}"] = original.take(f"srcnn.0.{part}")
        for step in range(fields["shrink"].bit_length() - 1):
            weights[f"down.{step}.0.{part}"] = original.take(f"encoders.{step + 1}.encoder_t{step}.{part}")
            weights[f"up.{step}.0.{part}"] = original.take(f"decoders.{step}.c_decoder{step}.{part}")
        original.drop(f"merge.{part}", f"conv_last_sr.{part}")
    return Translated("mau", fields, weights, original.rest())


def _fields(original: Original) -> dict[str, Any]:
    hidden, _, kernel, _ = original.shape("cell_list.0.conv_s_next.0.weight", 4)
    rows, columns = original.shape("cell_list.0.conv_s_next.1.weight", 3)[1:]
    shrink = 2 ** original.count("decoders.{0}.c_decoder{0}.weight")
    folded = original.patched(original.shape("srcnn.0.weight", 4)[0])
    patch = folded["patch"]
    return {
        **folded,
        "frame_height": rows * shrink * patch,
        "frame_width": columns * shrink * patch,
        "hidden": hidden,
        "layers": original.count("cell_list.{}.conv_t.0.weight"),
        "kernel": kernel,
        "shrink": shrink,
        "recall": original.whole("tau"),
        "residual": original.setting("cell_mode") == "residual",
        "skips": original.setting("model_mode") == "recall",
    }
