"""State dicts of OpenSTL's PhyDNet, and of SwinLSTM by OpenSTL and by its authors, become our models."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from foreign_states import Shapes, others, state_of
from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.table import translation
from nextframe.core.errors import UserError


def both(name: str, *shape: int) -> Shapes:
    """A layer's weight, and its bias of as many numbers as the weight has rows."""
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def phydnet() -> Shapes:
    """Shapes of 16 maps at half size, filters of 3 x 3 and 2 ConvLSTM layers, on colour frames."""
    cell, layers = "phycell.cell_list.0", "convcell.cell_list"
    branches = both(f"{cell}.F.conv1", 9, 32, 3, 3) | both(f"{cell}.F.bn1", 9) | both(f"{cell}.F.conv2", 32, 9, 1, 1)
    branches |= both(f"{cell}.convgate", 32, 64, 3, 3)
    branches |= both(f"{layers}.0.conv", 32, 40, 3, 3) | both(f"{layers}.1.conv", 128, 40, 3, 3)
    shapes = branches | {f"encoder.{name}": shape for name, shape in branches.items()}  # each under two names
    sides = {"encoder_E.c": (3, 16, 16, 32), "decoder_D.upc": (32, 16, 16)}
    sides |= dict.fromkeys(("encoder_Ep.c", "encoder_Er.c", "decoder_Dp.upc", "decoder_Dr.upc"), (32, 32, 32))
    for stack, widths in sides.items():
        for index, (before, after) in enumerate(pairwise(widths), 1):
            grows = "upc" in stack
            name, maps = f"encoder.{stack}{index}.main", (before, after) if grows else (after, before)
            shapes |= both(f"{name}.0", *maps, 3, 3) | {f"{name}.0.bias": (after,)} | both(f"{name}.1", after)
    shapes |= {"encoder.decoder_D.upc3.weight": (16, 3, 3, 3), "encoder.decoder_D.upc3.bias": (3,)}
    return shapes | {f"k2m._{kind}{axis}": (3, 3) for kind in ("M", "invM") for axis in (0, 1)}


def block(name: str, width: int, heads: int) -> Shapes:
    """Shapes of a block with windows of 2 x 2."""
    shapes = {f"{name}.attn.relative_position_bias_table": (9, heads), f"{name}.attn.relative_position_index": (4, 4)}
    for part, shape in {
        "norm1": (width,),
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
        "norm2": (width,),
        "mlp.fc1": (4 * width, width),
        "mlp.fc2": (width, 4 * width),
        "red": (width, 2 * width),
    }.items():
        shapes |= both(f"{name}.{part}", *shape)
    return shapes


def embedding(name: str) -> Shapes:
    return both(f"{name}.patch_embed.proj", 8, 1, 2, 2) | both(f"{name}.patch_embed.norm", 8)


def deep(blocks: str) -> Shapes:
    """Shapes of form D with one cell of 2 blocks each way; `blocks` is what a cell calls them."""
    shapes = embedding("Downsample") | embedding("Upsample")
    for index in (0, 1):
        shapes |= block(f"Downsample.layers.0.{blocks}.{index}", 8, 2)
        shapes |= block(f"Upsample.layers.0.{blocks}.{index}", 16, 2)
    shapes |= {"Upsample.Unembed.Conv.weight": (8, 1, 3, 3), "Upsample.Unembed.Conv.bias": (1,)}
    shapes |= {f"Downsample.layers.0.{blocks}.1.attn_mask": (16, 4, 4)}
    down, up = "Downsample.downsample.0", "Upsample.upsample.0"
    shapes |= {f"{down}.reduction.weight": (16, 32), f"{up}.expand.weight": (32, 16)}
    return shapes | both(f"{down}.norm", 32) | both(f"{up}.norm", 8)


def flat(blocks: str, paint: str) -> Shapes:
    """Shapes of form B with one cell of 2 blocks."""
    shapes = embedding("ST") | {f"ST.{paint}.weight": (8, 1, 3, 3), f"ST.{paint}.bias": (1,)}
    return shapes | block(f"ST.{blocks}.0", 8, 2) | block(f"ST.{blocks}.1", 8, 2)


def unused(*blocks: str, root: str = "Upsample") -> list[str]:
    names = [f"{block}.red.{part}" for block in blocks for part in ("weight", "bias")]
    return names + (list(embedding(root)) if root else [])


IN_D: dict[str, Any] = {"form": "D", "depths_down": (2,), "depths_up": (2,), "heads": (2,), "width": 8, "window": 2}
IN_B: dict[str, Any] = {"form": "B", "depths": (2,), "heads": (2,), "patch": 2, "channels": 1}
ODD = ("Downsample.layers.0.{}.1", "Upsample.layers.0.{}.1")
CASES: dict[str, tuple[Shapes, dict[str, Any], dict[str, Any], list[str]]] = {
    "phydnet": (
        phydnet(),
        {"patch_size": 2},
        {"channels": 3, "patch": 2, "width": 16, "kernel": 3, "hidden": (8, 32)},
        [],
    ),
    "swinlstm": (deep("STBs"), {}, IN_D, unused(*(name.format("STBs") for name in ODD))),
    "swinlstm by its authors": (deep("Swin.layers"), {}, IN_D, unused(*(name.format("Swin.layers") for name in ODD))),
    "swinlstm B": (flat("layer.STBs", "patch_inflated.Conv"), {}, IN_B, unused("ST.layer.STBs.1", root="")),
    "swinlstm B by its authors": (
        flat("layers.0.Swin.layers", "PatchInflated.ConvT"),
        {},
        IN_B,
        unused("ST.layers.0.Swin.layers.1", root=""),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_state_dict_becomes_our_model(case: str) -> None:
    shapes, settings, fields, dropped = CASES[case]
    name = case.split()[0]
    translated = translation(name)(state_of(shapes), settings)
    assert fields.items() <= translated.fields.items()
    assert sorted(translated.dropped) == sorted(dropped)
    create_model(name, **translated.fields).load_state_dict(translated.weights, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_a_state_dict_of_something_else_is_one_line(case: str) -> None:
    shapes, settings, _, _ = CASES[case]
    last = next(name for name in reversed(shapes) if name.endswith(".weight") and "red" not in name)
    for wrong in others(shapes, last):
        with pytest.raises(UserError, match=r"these are not the weights of .*: (there is no|it has a) tensor"):
            translation(case.split()[0])(wrong, settings)


def test_what_shapes_do_not_tell_is_asked_for() -> None:
    with pytest.raises(UserError, match="does not say its 'patch_size'"):
        translation("phydnet")(state_of(phydnet()), {})


def test_windows_of_several_sizes_are_refused() -> None:
    name = "Upsample.layers.0.STBs.0.attn.relative_position_bias_table"
    with pytest.raises(UserError, match=f"tensor '{name}' has another shape"):
        translation("swinlstm")(state_of(deep("STBs") | {name: (1, 2)}), {})
