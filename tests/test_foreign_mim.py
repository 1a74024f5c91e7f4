"""State dicts of OpenSTL's MAU, MIM and E3D-LSTM become our models; what they never use is dropped and named."""

from __future__ import annotations

from typing import Any

import pytest

from foreign_states import Shapes, others, state_of
from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.table import translation
from nextframe.core.errors import UserError


def mau(hidden: int = 4, side: int = 4) -> Shapes:
    """Shapes of 2 units and 1 halving, on colour frames of 8 x 8."""
    shapes: Shapes = {}
    for layer in range(2):
        for name, outputs in (("conv_t", 12), ("conv_t_next", 4), ("conv_s", 12), ("conv_s_next", 4)):
            unit = f"cell_list.{layer}.{name}"
            shapes |= {f"{unit}.0.weight": (outputs, hidden, 3, 3), f"{unit}.0.bias": (outputs,)}
            shapes |= {f"{unit}.1.{part}": (outputs, side, side) for part in ("weight", "bias")}
    for name, shape in {
        "encoders.0.encoder_t_conv-1": (hidden, 3, 1, 1),
        "encoders.1.encoder_t0": (hidden, hidden, 3, 3),
        "decoders.0.c_decoder0": (hidden, hidden, 3, 3),
        "srcnn.0": (3, hidden, 1, 1),
        "merge": (hidden, 2 * hidden, 1, 1),
        "conv_last_sr": (3, 6, 1, 1),
    }.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def mim(hidden: int = 4, side: int = 4) -> Shapes:
    """Shapes of 2 layers, on grey frames of 16 x 16 in patches of 4."""
    first = {"conv_x": (28, 16), "conv_h": (16, 4), "conv_m": (12, 4), "conv_o": (4, 8)}
    block = {"conv_t_cc": 12, "conv_s_cc": 16, "conv_x_cc": 16, "conv_h_concat": 16, "conv_x_concat": 16}
    shapes: Shapes = {f"stlstm_layer.0.{name}.0.weight": (*both, 5, 5) for name, both in first.items()}
    shapes |= {f"stlstm_layer.1.{name}.0.weight": (outputs, hidden, 5, 5) for name, outputs in block.items()}
    for name in ("conv_h_concat", "conv_x_concat"):
        shapes[f"stlstm_layer_diff.0.{name}.0.weight"] = (16, hidden, 5, 5)
    for cell in ("stlstm_layer.1", "stlstm_layer_diff.0"):
        shapes |= {f"{cell}.ct_weight": (8, side, side), f"{cell}.oc_weight": (4, side, side)}
    mixes = ("stlstm_layer.0", "stlstm_layer.1", "stlstm_layer_diff.0")
    return shapes | {f"{cell}.conv_last.weight": (4, 8, 1, 1) for cell in mixes} | {"conv_last.weight": (16, 4, 1, 1)}


def e3d(hidden: int = 4, side: int = 4) -> Shapes:
    """Shapes of 2 layers, on grey frames of 16 x 16 in patches of 4."""
    shapes: Shapes = {"conv_last.weight": (16, hidden, 2, 1, 1)}
    for layer, inputs in enumerate((16, hidden)):
        cell = f"cell_list.{layer}"
        shapes[f"{cell}.conv_x.0.conv3d.weight"] = (28, inputs, 2, 5, 5)
        for name, outputs in (("conv_h", 16), ("conv_gm", 16), ("conv_new_cell", 4), ("conv_new_gm", 4)):
            shapes[f"{cell}.{name}.0.conv3d.weight"] = (outputs, hidden, 2, 5, 5)
        shapes[f"{cell}.conv_last.conv3d.weight"] = (4, 8, 1, 1, 1)
        shapes |= {f"{cell}._norm_c_t.{part}": (hidden, 2, side, side) for part in ("weight", "bias")}
    return shapes


MAU_SETTINGS = {"patch_size": 1, "tau": 5, "cell_mode": "residual", "model_mode": "normal"}
CASES: dict[str, tuple[Shapes, dict[str, Any], dict[str, Any], list[str]]] = {
    "mau": (
        mau(),
        MAU_SETTINGS,
        {"channels": 3, "frame_height": 8, "shrink": 2, "layers": 2, "recall": 5, "residual": True, "skips": False},
        ["merge.weight", "conv_last_sr.weight", "merge.bias", "conv_last_sr.bias"],
    ),
    "mim": (
        mim(),
        {"patch_size": 4},
        {"channels": 1, "frame_width": 16, "layers": 2, "kernel": 5, "norm": False},
        ["stlstm_layer_diff.0.conv_last.weight"],
    ),
    "e3d-lstm": (
        e3d(),
        {"patch_size": 4},
        {"channels": 1, "frame_height": 16, "layers": 2, "kernel": 5, "window": 2, "hidden": 4},
        [
            f"cell_list.{n}.{name}"
            for n in (0, 1)
            for name in ("conv_gm.0.conv3d.weight", "conv_x.0.conv3d.weight[24:]")
        ],
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_state_dict_becomes_our_model(name: str) -> None:
    shapes, settings, fields, dropped = CASES[name]
    translated = translation(name)(state_of(shapes), settings)
    assert fields.items() <= translated.fields.items()
    assert sorted(translated.dropped) == sorted(dropped)
    create_model(name, **translated.fields).load_state_dict(translated.weights, strict=True)


@pytest.mark.parametrize("name", CASES)
def test_a_state_dict_of_something_else_is_one_line(name: str) -> None:
    shapes, settings, _, _ = CASES[name]
    last = next(reversed(shapes))
    for wrong in others(shapes, last):
        with pytest.raises(
            UserError, match=r"these are not the weights of OpenSTL's .*: (there is no|it has a) tensor"
        ):
            translation(name)(wrong, settings)
    with pytest.raises(UserError, match="does not say its 'patch_size'"):
        translation(name)(state_of(shapes), {})


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("odd", [0, "four", None, [2]])
def test_a_patch_size_that_is_no_number_is_one_line(name: str, odd: object) -> None:
    shapes, settings, _, _ = CASES[name]
    with pytest.raises(UserError, match=r"the 'patch_size' of OpenSTL's .* is a whole number from 1 on, not"):
        translation(name)(state_of(shapes), {**settings, "patch_size": odd})
