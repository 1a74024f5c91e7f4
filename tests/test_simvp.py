"""SimVP and TAU: every translator trains, sizes and horizons, the divergence, and OpenSTL's state dicts."""

from __future__ import annotations

from math import exp, log
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.table import translation
from nextframe.core.clip import Clip, Task
from nextframe.core.errors import UserError
from nextframe.layers.batch_norm import BatchNorm2d
from nextframe.layers.translators.stack import Name
from nextframe.models.tau import differential_divergence

TRANSLATORS = get_args(Name)
SMALL = {"context": 2, "encoder_width": 16, "width": 16, "blocks": 3, "ratio": 2.0}
SIZE = {"frame_height": 16, "frame_width": 16}


def build(**fields: Any) -> Any:
    torch.manual_seed(0)
    return create_model("simvp", **{**SMALL, **fields})


@pytest.mark.parametrize("name", TRANSLATORS)
def test_every_translator_trains_all_its_weights(name: str) -> None:
    model, frames = build(translator=name, **SIZE).train(), torch.rand(2, 4, 1, 16, 16)
    loss, _ = model.loss(Clip(frames[:, :2], frames[:, 2:]))
    loss.backward()
    assert [key for key, value in model.named_parameters() if value.grad is None or not value.grad.any()] == []
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert all(type(norm) is BatchNorm2d for norm in norms)  # those that several processes share


@pytest.mark.parametrize("name", [name for name in TRANSLATORS if name != "mlp-mixer"])
def test_every_translator_but_one_takes_any_size(name: str) -> None:
    model, context = build(translator=name), torch.rand(1, 2, 1, 19, 34)
    assert model.capabilities.any_size
    assert model.predict(context, 2).shape == (1, 2, 1, 19, 34)


def test_mlp_mixer_takes_its_own_size_alone() -> None:
    model = build(translator="mlp-mixer", frame_height=19, frame_width=34)
    assert not model.capabilities.any_size
    assert model.predict(torch.rand(1, 2, 1, 19, 34), 2).shape == (1, 2, 1, 19, 34)
    with pytest.raises(UserError, match="takes frames of 19x34, not 20x34"):
        model.predict(torch.rand(1, 2, 1, 20, 34), 2)
    with pytest.raises(UserError, match="takes frames of 19x34, not 19x30"):
        model.check_data(Task.forecast(2, 2), (1, 19, 30))


def test_a_longer_request_reads_whole_passes_and_a_shorter_one_is_their_beginning() -> None:
    model, context = build().eval(), torch.rand(1, 2, 1, 16, 16)
    with torch.no_grad():
        first = model.next_frames(context)
        whole = torch.cat([first, model.next_frames(first)], dim=1)  # not clamped in between
        for horizon in (1, 3, 4):
            torch.testing.assert_close(model.follow(context, horizon), whole[:, :horizon])


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"translator": "vit", "encoder_width": 6}, "vit needs a multiple of 8 for width, and one of 8 for context"),
        ({"translator": "incepu", "width": 24}, "incepu needs a multiple of 16 for width"),
        ({"decoder_kernel": 4}, "must be odd"),
        ({"drop_path": (0.0, 1.0)}, "two chances from 0 to below 1"),
        ({"encoder_layers": 3}, "multiple of 2"),
    ],
)
def test_what_cannot_be_built_is_one_line(fields: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        build(**fields)


def test_the_divergence_by_hand() -> None:
    """Two changes of two pixels each: the second of (0.1, 0) where the truth has none, e to 1 against 1 to 1."""
    future = torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.1, 0.0]]).view(1, 3, 1, 1, 2)
    target = torch.zeros(1, 3, 1, 1, 2)
    more, less = exp(1) / (exp(1) + 1), 1 / (exp(1) + 1)
    divergence = more * log(more / 0.5) + less * log(less / 0.5)
    assert float(differential_divergence(future, target)) == pytest.approx(divergence / 4, rel=1e-5)
    assert float(differential_divergence(future, future)) == pytest.approx(0, abs=1e-7)
    assert float(differential_divergence(future[:, :2], target[:, :2])) == 0


def test_the_loss_of_tau_has_the_divergence_in_it() -> None:
    model = create_model("tau", **SMALL, alpha=3.0)
    future, target = torch.rand(2, 2, 4, 1, 8, 8)
    loss, logs = model.score(future, target)
    torch.testing.assert_close(loss, (future - target).square().mean() + 3 * differential_divergence(future, target))
    assert set(logs) == {"mse", "divergence"}
    with pytest.raises(UserError, match="translator"):
        create_model("tau", translator="gsta")


Shapes = dict[str, tuple[int, ...]]


def frame_layers() -> Shapes:
    """Shapes of OpenSTL's encoder and decoder of grey frames: 4 convolutions of 16 maps each."""
    shapes: Shapes = {}
    for part in ("enc", "dec"):
        for layer in range(4):
            up = part == "dec" and layer % 2 == 0
            name, before = f"{part}.{part}.{layer}.conv", 1 if (part, layer) == ("enc", 0) else 16
            shapes |= both(f"{name}.conv.0" if up else f"{name}.conv", 64 if up else 16, before, 3, 3)
            shapes |= both(f"{name}.norm", 16)
    return shapes | both("dec.readout", 1, 16, 1, 1)


def both(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def norm(name: str, width: int) -> Shapes:
    return {**both(name, width), f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}


def gated(kind: str) -> Shapes:
    """Shapes of 3 blocks of gsta or tau, 32 -> 16 -> 16 -> 32 channels; the feed-forward layers have twice as many."""
    shapes: Shapes = {}
    for index, (width, after) in enumerate([(32, 16), (16, 16), (16, 32)]):
        block = f"hid.enc.{index}.block"
        unit, seen = f"{block}.attn.spatial_gating_unit", 2 * width if kind == "gsta" else width
        for number in (1, 2):
            shapes |= norm(f"{block}.norm{number}", width) | both(f"{block}.attn.proj_{number}", width, width, 1, 1)
            shapes[f"{block}.layer_scale_{number}"] = (width,)
        shapes |= both(f"{unit}.conv0", width, 1, 5, 5) | both(f"{unit}.conv_spatial", width, 1, 7, 7)
        shapes |= both(f"{unit}.conv1", seen, width, 1, 1)
        if kind == "tau":
            between = width // 4
            shapes |= {f"{unit}.fc.0.weight": (between, width), f"{unit}.fc.2.weight": (width, between)}
        shapes |= both(f"{block}.mlp.fc1", 2 * width, width, 1, 1) | both(f"{block}.mlp.fc2", width, 2 * width, 1, 1)
        shapes |= both(f"{block}.mlp.dwconv.dwconv", 2 * width, 1, 3, 3)
        if width != after:
            shapes |= both(f"hid.enc.{index}.reduction", after, width, 1, 1)
    return frame_layers() | shapes


def windowed() -> Shapes:
    """Shapes of 2 blocks of swin, 32 -> 16 -> 32 channels, windows of 4 x 4, and what it keeps besides weights."""
    shapes: Shapes = {}
    for index, (width, after) in enumerate([(32, 16), (16, 32)]):
        block = f"hid.enc.{index}.block"
        shapes |= both(f"{block}.norm1", width) | both(f"{block}.norm2", width)
        shapes |= both(f"{block}.attn.qkv", 3 * width, width) | both(f"{block}.attn.proj", width, width)
        shapes |= both(f"{block}.mlp.fc1", 2 * width, width) | both(f"{block}.mlp.fc2", width, 2 * width)
        shapes[f"{block}.attn.relative_position_bias_table"] = (49, 8)
        shapes[f"{block}.attn.relative_position_index"] = (16, 16)
        shapes |= both(f"hid.enc.{index}.reduction", after, width, 1, 1)
    return frame_layers() | shapes | {"hid.enc.1.block.attn_mask": (4, 16, 16)}


def state_of(shapes: Shapes) -> dict[str, Tensor]:
    """Return a state as Lightning stores it."""
    state = {f"model.{name}": torch.rand(shape) for name, shape in shapes.items()}
    counts = {name.replace("running_mean", "num_batches_tracked") for name in state if name.endswith("running_mean")}
    return state | {name: torch.tensor(7) for name in counts}


CASES: dict[str, tuple[str, Shapes, dict[str, Any], list[str]]] = {
    "gsta": ("simvp", gated("gsta"), {"translator": "gsta", "ratio": 2.0, "drop_path": (0.01, 0.2)}, []),
    "tau": ("tau", gated("tau"), {"translator": "tau", "alpha": 0.5}, []),
    "tau as simvp": ("simvp", gated("tau"), {"translator": "tau"}, []),
    "swin": (
        "simvp",
        windowed(),
        {"translator": "swin", "window": 4, "blocks": 2},
        [*(f"hid.enc.{n}.block.attn.relative_position_index" for n in (0, 1)), "hid.enc.1.block.attn_mask"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_state_of_openstl_becomes_our_model(case: str) -> None:
    model, shapes, fields, dropped = CASES[case]
    translated = translation(model)(state_of(shapes), {"alpha": 0.5, "drop_path": 0.2})
    assert {"context": 2, "channels": 1, "encoder_width": 16, "width": 16}.items() <= translated.fields.items()
    assert fields.items() <= translated.fields.items()
    assert sorted(translated.dropped) == sorted(dropped)
    create_model(model, **translated.fields).load_state_dict(translated.weights, strict=True)


def test_a_state_of_something_else_is_one_line() -> None:
    good = gated("gsta")
    for wrong, line in (
        ({"fc.weight": (3, 4)}, "there is no tensor 'enc.enc.0.conv.conv.weight'"),
        ({key: shape for key, shape in good.items() if "conv0" not in key}, "nothing for 'translator.0.block.0"),
        (good | {"mine.weight": (4, 4)}, "it has a tensor 'mine.weight'"),
        (frame_layers(), "no known translator"),
        (good | {"hid.enc.2.block.mlp.fc1.weight": (16, 16, 1, 1)}, "it has a tensor 'hid.enc.2.block.mlp.fc1.weight'"),
    ):
        with pytest.raises(UserError, match=line):
            translation("simvp")(state_of(wrong), {})
    with pytest.raises(UserError, match="SimVP with the translator gsta"):
        translation("tau")(state_of(good), {})
