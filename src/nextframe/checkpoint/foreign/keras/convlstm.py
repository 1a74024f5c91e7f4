"""The ConvLSTM of the Keras example, as Keras saved it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated

NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
GATES = {2: "hard_sigmoid", 3: "sigmoid"}  # what each version of Keras takes by itself


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read tensors by the names of `tensors.named`; what no tensor tells is `settings`'s, or that of the example.

    Keras's kernels are (height, width, in, out), and (time, height, width, in, out) in the head; gates stand in the
    order of ours, i, f, c, o.

    Raises:
        UserError: weights of another network.
    """
    original = Original("the Keras example's ConvLSTM", state, settings)
    shapes = [original.shape("conv_lstm2d.0.kernel", 4)]
    layers, norms = original.count("conv_lstm2d.{}.kernel"), original.count("batch_normalization.{}.gamma")
    shapes += [original.shape(f"conv_lstm2d.{index}.kernel", 4) for index in range(1, layers)]
    if norms not in (0, layers - 1):
        raise original.foreign(f"it has {layers} layers and {norms} batch norms, and {layers - 1} stand between them")
    fields = {
        "channels": shapes[0][2],
        "hidden": [shape[3] // 4 for shape in shapes],
        "kernels": [shape[0] for shape in shapes],
        "norm": "batch" if norms else "none",
    }
    usual = {"activation": "relu", "gate": GATES.get(settings.get("keras", 3), "sigmoid")}
    told = {name: settings[name] for name in (*usual, "norm_momentum") if name in settings}
    assumed = {name: value for name, value in usual.items() if name not in told}
    weights: dict[str, Tensor] = {}
    for index in range(layers):
        weights |= _layer(original, index)
    for index in range(norms):
        weights |= _norm(original, index)
    weights["head.weight"] = original.take("conv3d.0.kernel").permute(4, 3, 0, 1, 2).contiguous()
    weights["head.bias"] = original.take("conv3d.0.bias")
    return Translated("convlstm-keras", {**fields, **told, **assumed}, weights, original.rest(), assumed)


def _layer(original: Original, index: int) -> dict[str, Tensor]:
    theirs, ours = f"conv_lstm2d.{index}", f"layers.{index}"
    into = original.take(f"{theirs}.kernel").permute(3, 2, 0, 1).contiguous()
    across = original.take(f"{theirs}.recurrent_kernel").permute(3, 2, 0, 1).contiguous()
    bias = original.take(f"{theirs}.bias")
    return {f"{ours}.input_weight": into, f"{ours}.recurrent_weight": across, f"{ours}.bias": bias}


def _norm(original: Original, index: int) -> dict[str, Tensor]:
    taken = {ours: original.take(f"batch_normalization.{index}.{theirs}") for theirs, ours in NORM.items()}
    taken["num_batches_tracked"] = torch.zeros((), dtype=torch.long)
    return {f"norms.{index}.{name}": value for name, value in taken.items()}
