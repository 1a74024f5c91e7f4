"""Checkpoints of PredFormer's own code, a fork of OpenSTL that keeps a state dict and no settings beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from nextframe.checkpoint.foreign.translated import Translated, bare, needed
from nextframe.core.errors import UserError

LAYER = re.compile(r"blocks\.(\d+)\.(\w+_transformer\w*)\.(.+)")
WHOLE = re.compile(r"(\w+_transformer)\.(.+)")
BRANCH = re.compile(r"layers\.(\d+)\.([01])\.(.+)")
ORDERS = {  # the transformers of a layer, or of the model, as their code makes them
    "tsst": ("ts_temporal", "ts_space", "st_space", "st_temporal"),
    "stts": ("st_space", "st_temporal", "ts_temporal", "ts_space"),
    "tst": ("temporal", "space", "temporal_second"),
    "sts": ("space", "temporal", "space_second"),
    "ts": ("ts_temporal", "ts_space"),
    "st": ("st_space", "st_temporal"),
    "fac-ts": ("temporal", "space"),
    "fac-st": ("space", "temporal"),
    "full": ("space_temporal",),
}
PLACES = {
    "to_patch_embedding.1.": "embed.",
    "mlp_head.0.": "norm.",
    "mlp_head.1.": "head.",
    "fn.to_qkv.": "mix.",
    "fn.to_out.0.": "out.",
    "fn.fc1_g.": "gate.",
    "fn.fc1_x.": "value.",
    "fn.fc2.": "out.",
    "norm.": "norm.",
}


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Return a `predformer` with the weights of PredFormer's code; see `Translate`.

    Sizes are told from shapes. `settings` have `heads` and `context` (or their `model_config` with `heads` and
    `pre_seq`), and the `interleaving` where names do not tell it: fac-st and fac-ts have the same.
    """
    state = bare(state)
    settings = {**settings, **dict(settings.get("model_config") or {})}
    parts = list(dict.fromkeys(_part(match[2]) for match in map(LAYER.fullmatch, state) if match))
    long = not parts
    parts = parts or list(dict.fromkeys(_part(match[1]) for match in map(WHOLE.fullmatch, state) if match))
    order = _interleaving(parts, settings.get("interleaving"))
    weights = {_ours(name, ORDERS[order]): value for name, value in state.items()}
    name = "predformer-fac-st" if order == "fac-st" else "predformer"  # as their code has it, with its fault
    return Translated(name, _fields(weights, order, long, settings), weights)


def _part(name: str) -> str:
    return name.replace("_transformer", "").removesuffix("_first")


def _interleaving(parts: list[str], given: Any) -> str:
    """Return the order whose transformers are `parts`: the one that is `given`, or the only one in that order."""
    able = [name for name, order in ORDERS.items() if sorted(order) == sorted(parts)]
    if given in able:
        return str(given)
    # a state dict lists transformers as they are made, which is as they are called, but for fac-
    told = [name for name in able if ORDERS[name] == tuple(parts) and not name.startswith("fac-")]
    if not able or (given is not None and given not in able):
        raise UserError(
            f"the transformers {', '.join(parts) or '(none)'} are not those of PredFormer's {given or 'code'}"
        )
    if len(able) > 1 and not told:
        raise UserError(f"it may be {' or '.join(able)}: say --set model.interleaving={able[0]}, or the other")
    return (told or able)[0]


def _ours(name: str, order: tuple[str, ...]) -> str:
    """Return the name here of the original's tensor `name`."""
    if match := LAYER.fullmatch(name):
        number = int(match[1]) * len(order) + order.index(_part(match[2]))
        return f"transformers.{number}.{_inner(match[3])}"
    if match := WHOLE.fullmatch(name):
        return f"transformers.{order.index(_part(match[1]))}.{_inner(match[2])}"
    return _placed(name)


def _inner(name: str) -> str:
    """Return the name within a transformer: of its last norm, or of a branch, attention before the gated layer."""
    if match := BRANCH.fullmatch(name):
        return f"branches.{2 * int(match[1]) + int(match[2])}.{_placed(match[3])}"
    return _placed(name)


def _placed(name: str) -> str:
    for theirs, ours in PLACES.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    raise UserError(f"tensor '{name}' is none of PredFormer's")


def _fields(weights: Mapping[str, Tensor], order: str, long: bool, settings: Mapping[str, Any]) -> dict[str, Any]:
    width, pixels = needed(weights, "embed.weight").shape
    heads = _asked(settings, "heads", "heads")
    patch = max(side for side in range(1, isqrt(pixels) + 1) if pixels % side**2 == 0)
    first = re.compile(r"transformers\.0\.branches\.\d+\.mix\.weight")
    blocks = sum(bool(first.fullmatch(name)) for name in weights)
    count = len({name.split(".")[1] for name in weights if name.startswith("transformers.")})
    return {
        "context": _asked(settings, "context", "pre_seq"),
        "channels": pixels // patch**2,
        "patch": patch,
        "interleaving": order,
        "layers": blocks if long else count // len(ORDERS[order]),
        "depth": 1 if long else blocks,
        "width": width,
        "heads": heads,
        "head_width": needed(weights, "transformers.0.branches.0.out.weight").shape[1] // heads,
        "expansion": needed(weights, "transformers.0.branches.1.gate.weight").shape[0] // width,
    }


def _asked(settings: Mapping[str, Any], ours: str, theirs: str) -> int:
    value = settings.get(ours, settings.get(theirs))
    if not isinstance(value, int) or value < 1:
        raise UserError(
            "PredFormer's checkpoints do not say how many context frames and attention heads the model has: "
            "--set model.context=10 --set model.heads=8 are those of Moving MNIST"
        )
    return value
