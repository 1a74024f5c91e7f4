"""State dicts of other programs, made of names and shapes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


def state_of(shapes: Shapes) -> dict[str, Tensor]:
    """Return a state dict with random values, named as Lightning names them."""
    return {f"model.{name}": torch.rand(shape) for name, shape in shapes.items()}


def others(shapes: Shapes, last: str) -> Iterator[dict[str, Tensor]]:
    """Yield state dicts that are not of `shapes`: of something else, without tensor `last`, with one more."""
    yield state_of({"fc.weight": (3, 4)})
    yield state_of({key: shape for key, shape in shapes.items() if key != last})
    yield state_of(shapes | {"conv_of_my_own.weight": (4, 4, 1, 1)})


# --- OpenSTL's PredRNN and what is built alike

# outputs and inputs, in widths, of what reads anything but a layer's input; conv_x has 7 widths, ConvLSTM's 4
ST_LSTM = {"conv_h": (4, 1), "conv_m": (3, 1), "conv_o": (1, 2)}


def recurrent(
    of: dict[str, tuple[int, int]], gates: int = 7, norm: bool = False, width: int = 4, folded: int = 12
) -> Shapes:
    """Shapes of 2 layers of 4 channels, on RGB frames of 12 x 16 in patches of 2, which have 12 numbers."""
    shapes: Shapes = {"conv_last.weight": (folded, width, 1, 1)}
    for layer, inputs in enumerate((folded, 4)):
        sizes = {name: (width * out, width * into) for name, (out, into) in of.items()}
        for name, (out, into) in {"conv_x": (gates * width, inputs), **sizes}.items():
            shapes[f"cell_list.{layer}.{name}.0.weight"] = (out, into, 5, 5)
            if norm:
                shapes |= {f"cell_list.{layer}.{name}.1.{part}": (out, 6, 8) for part in ("weight", "bias")}
        shapes[f"cell_list.{layer}.conv_last.weight"] = (width, 2 * width, 1, 1)
    return shapes


# --- PredFormer

WIDTH, HEADS, INNER, HIDDEN, PIXELS = 8, 2, 24, 16, 16  # there may be 8 heads too: no tensor tells
LAYERS = {  # the transformers of a layer, in the order in which the original makes them
    "tsst": "ts_temporal_transformer ts_space_transformer st_space_transformer st_temporal_transformer",
    "stts": "st_space_transformer st_temporal_transformer ts_temporal_transformer ts_space_transformer",
    "tst": "temporal_transformer_first space_transformer temporal_transformer_second",
    "sts": "space_transformer_first temporal_transformer space_transformer_second",
    "ts": "ts_temporal_transformer ts_space_transformer",
    "st": "st_space_transformer st_temporal_transformer",
}


def predformer(names: Sequence[str], depth: int = 1) -> OrderedDict[str, Tensor]:
    """A state dict of PredFormer's code; each tensor has values of its own."""
    shapes = _linear("to_patch_embedding.1", PIXELS, WIDTH)
    for name in names:
        shapes |= _transformer(name, depth)
    shapes |= _norm("mlp_head.0") | _linear("mlp_head.1", WIDTH, PIXELS)
    generator = torch.Generator().manual_seed(0)
    return OrderedDict((name, 0.1 * torch.randn(shape, generator=generator)) for name, shape in shapes.items())


def layered(order: str = "tsst", layers: int = 1, depth: int = 1) -> OrderedDict[str, Tensor]:
    """A state dict of PredFormer with interleaved transformers."""
    return predformer([f"blocks.{n}.{name}" for n in range(layers) for name in LAYERS[order].split()], depth)


def _norm(name: str) -> Shapes:
    return {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}


def _linear(name: str, before: int, after: int) -> Shapes:
    return {f"{name}.weight": (after, before), f"{name}.bias": (after,)}


def _transformer(name: str, depth: int) -> Shapes:
    """The tensors of one of PredFormer's gated transformers: names and shapes as its code has them."""
    shapes = _norm(f"{name}.norm")
    for attention, gated in ((f"{name}.layers.{n}.0", f"{name}.layers.{n}.1") for n in range(depth)):
        shapes |= _norm(f"{attention}.norm") | {f"{attention}.fn.to_qkv.weight": (3 * INNER, WIDTH)}
        shapes |= _linear(f"{attention}.fn.to_out.0", INNER, WIDTH) | _norm(f"{gated}.norm")
        shapes |= _linear(f"{gated}.fn.fc1_g", WIDTH, HIDDEN) | _linear(f"{gated}.fn.fc1_x", WIDTH, HIDDEN)
        shapes |= _linear(f"{gated}.fn.fc2", HIDDEN, WIDTH)
    return shapes
