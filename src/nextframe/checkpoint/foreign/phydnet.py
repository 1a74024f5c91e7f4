"""PhyDNet of OpenSTL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated, new_count

CELL = "encoder.phycell.cell_list.0"
LAYER = "encoder.convcell.cell_list.{}.conv.{}"
PARTS = {  # theirs: ours, each with a weight and a bias
    f"{CELL}.F.conv1": "physics.filters",
    f"{CELL}.F.bn1": "physics.norm",
    f"{CELL}.F.conv2": "physics.mix",
    f"{CELL}.convgate": "physics.gain",
    "encoder.decoder_D.upc3": "decoder.2",
}
STACKS = {  # theirs: ours, and how many layers with a norm each has
    "encoder.encoder_E.c": ("encoder", 3),
    "encoder.encoder_Ep.c": ("physics_encoder", 2),
    "encoder.encoder_Er.c": ("residual_encoder", 2),
    "encoder.decoder_Dp.upc": ("physics_decoder", 2),
    "encoder.decoder_Dr.upc": ("residual_decoder", 2),
    "encoder.decoder_D.upc": ("decoder", 2),
}
AGAIN = ("phycell.", "convcell.")  # the two branches, which the encoder's names have too
COMPUTED = ("k2m._M0", "k2m._M1", "k2m._invM0", "k2m._invM1")  # constants that follow from the kernel


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's PhyDNet; of `settings` it needs patch_size.

    Raises:
        UserError: weights of another model, or the setting is missing.
    """
    original = Original("OpenSTL's PhyDNet", state, settings)
    fields = _fields(original)
    for name in [name for name in original.left if name.startswith(AGAIN) or name in COMPUTED]:
        original.take(name)
    parts = dict(PARTS)
    for theirs, (ours, layers) in STACKS.items():
        for layer in range(layers):
            parts |= {f"{theirs}{layer + 1}.main.{index}": f"{ours}.{layer}.{index}" for index in (0, 1)}
    weights = new_count()
    for theirs, ours in parts.items():
        weights |= {f"{ours}.{kind}": original.take(f"{theirs}.{kind}") for kind in ("weight", "bias")}
    for layer, hidden in enumerate(fields["hidden"]):
        both = _reordered(original.take(LAYER.format(layer, "weight")))
        before = both.shape[1] - hidden
        weights[f"residual.{layer}.input_weight"] = both[:, :before]
        weights[f"residual.{layer}.recurrent_weight"] = both[:, before:]
        weights[f"residual.{layer}.bias"] = _reordered(original.take(LAYER.format(layer, "bias")))
    return Translated("phydnet", fields, weights, original.rest())


def _fields(original: Original) -> dict[str, Any]:
    width, channels, _, _ = original.shape("encoder.encoder_E.c1.main.0.weight", 4)
    layers = original.count(LAYER.format("{}", "weight"))
    patch = original.whole("patch_size")
    return {
        "channels": channels,
        "patch": patch if patch in (2, 4) else 4,  # as OpenSTL does
        "width": width,
        "kernel": original.shape(f"{CELL}.F.conv1.weight", 4)[2],
        "hidden": tuple(original.shape(LAYER.format(layer, "weight"), 4)[0] // 4 for layer in range(layers)),
    }


def _reordered(gates: Tensor) -> Tensor:
    """Return rows of the gates i, f, o, g as i, f, g, o."""
    inputs, forgets, outputs, candidates = gates.chunk(4)
    return torch.cat([inputs, forgets, candidates, outputs])
