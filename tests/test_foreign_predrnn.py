"""State dicts of OpenSTL's PredRNN, PredRNN v2, PredRNN++ and ConvLSTM become our models."""

from __future__ import annotations

from typing import Any

import pytest

from foreign_states import ST_LSTM, Shapes, others, recurrent, state_of
from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.table import translation
from nextframe.core.errors import UserError

CAUSAL = {**ST_LSTM, "conv_c": (3, 1), "conv_c2m": (4, 1), "conv_om": (1, 1)}
LSTM = {"conv_h": (4, 1), "conv_o": (1, 2)}
ADAPTER: Shapes = {"adapter.weight": (4, 4, 1, 1)}
HIGHWAY: Shapes = {f"gradient_highway.{part}.0.weight": (8, 4, 5, 5) for part in ("z_concat", "x_concat")}

BOTH = [f"cell_list.{layer}.conv_o.0.weight" for layer in (0, 1)]
CASES: dict[str, tuple[str, Shapes, dict[str, Any], dict[str, Any], list[str]]] = {
    "PredRNN": ("predrnn", recurrent(ST_LSTM), {}, {"channels": 3, "hidden": 4, "layers": 2, "kernel": 5}, []),
    "PredRNN with layer norm": (
        *("predrnn", recurrent(ST_LSTM, norm=True), {}),
        *({"norm": True, "frame_height": 12, "frame_width": 16}, []),
    ),
    "PredRNN v2": (
        *("predrnn", recurrent(ST_LSTM) | ADAPTER, {"decouple_beta": 0.05, "reverse_scheduled_sampling": 1}),
        *({"version": 2, "decouple": 0.05, "sampling": {"kind": "reverse"}}, []),
    ),
    "PredRNN v2 without its loss": (
        *("predrnn", recurrent(ST_LSTM) | ADAPTER, {"decouple_beta": 0, "sampling_stop_iter": 7}),
        *({"decouple": 0, "sampling": {"stop": 7}}, ["adapter.weight"]),
    ),
    "PredRNN++": ("predrnn++", recurrent(CAUSAL) | HIGHWAY, {}, {"hidden": 4, "layers": 2, "norm": False}, BOTH),
    "ConvLSTM": (
        *("convlstm-openstl", recurrent(LSTM, gates=4), {}, {"hidden": 4, "layers": 2}),
        [*BOTH, *(f"cell_list.{layer}.conv_last.weight" for layer in (0, 1))],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_state_dict_becomes_our_model(case: str) -> None:
    name, shapes, settings, fields, dropped = CASES[case]
    translated = translation(name)(state_of(shapes), {"patch_size": 2, **settings})
    assert fields.items() <= translated.fields.items()
    assert sorted(translated.dropped) == sorted(dropped)
    create_model(name, **translated.fields).load_state_dict(translated.weights, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_a_state_dict_of_something_else_is_one_line(case: str) -> None:
    name, shapes, _, _, _ = CASES[case]
    last = next(key for key in shapes if "cell_list.1.conv_last" in key)
    for wrong in others(shapes, last):
        with pytest.raises(
            UserError, match=r"these are not the weights of OpenSTL's .*: (there is no|it has a) tensor"
        ):
            translation(name)(wrong, {"patch_size": 2})


def test_what_the_settings_should_say_is_asked_for() -> None:
    state = state_of(recurrent(ST_LSTM))
    with pytest.raises(UserError, match="does not say its 'patch_size'"):
        translation("predrnn")(state, {})
    with pytest.raises(UserError, match="12 channels do not make a frame in patches of 4"):
        translation("predrnn")(state, {"patch_size": 4})


def test_layers_of_several_widths_are_refused() -> None:
    shapes = recurrent(LSTM, gates=4)
    wider = recurrent(LSTM, gates=4, width=6)
    mixed = {key: (wider if "cell_list.1" in key else shapes)[key] for key in shapes}
    with pytest.raises(UserError, match=r"its layers have widths \[4, 6\], and ours one width"):
        translation("convlstm-openstl")(state_of(mixed), {"patch_size": 2})
