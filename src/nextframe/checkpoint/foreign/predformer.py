"""Checkpoints of PredFormer's own code, a fork of OpenSTL that keeps a state dict and no settings beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated
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
    settings = {**settings, **dict(settings.get("model_config") or {})}
    original = Original("PredFormer", state, settings)
    names = list(original.left)
    parts = list(dict.fromkeys(_part(match[2]) for match in map(LAYER.fullmatch, names) if match))
    long = not parts
    parts = parts or list(dict.fromkeys(_part(match[1]) for match in map(WHOLE.fullmatch, names) if match))
    order = _interleaving(original, parts, settings.get("interleaving"))
    fields = _sizes(original, names) | {"interleaving": order, **_repeats(names, order, long)}
    model = "predformer-fac-st" if order == "fac-st" else "predformer"  # as their code has it, with its fault
    weights = {_ours(original, name, ORDERS[order]): original.take(name) for name in names}
    return Translated(model, fields, weights, original.rest())


def _part(name: str) -> str:
    return name.replace("_transformer", "").removesuffix("_first")


def _interleaving(original: Original, parts: list[str], given: Any) -> str:
    """Return the order whose transformers are `parts`: the one that is `given`, or the only one in that order."""
    able = [name for name, order in ORDERS.items() if sorted(order) == sorted(parts)]
    if not able or given not in (None, *able):
        raise original.foreign(f"its transformers are {', '.join(parts) or '(none)'}")
    # a state dict lists transformers as they are made, which is as they are called, but for fac-
    told = [name for name in able if ORDERS[name] == tuple(parts) and not name.startswith("fac-")]
    if given is None and len(able) > 1 and not told:
        raise UserError(f"it may be {' or '.join(able)}: --set model.interleaving={able[0]}, or the other")
    return str(given or (told or able)[0])


def _ours(original: Original, name: str, order: tuple[str, ...]) -> str:
    """Return the name here of the original's tensor `name`."""
    number, inner = None, name
    if match := LAYER.fullmatch(name):
        number, inner = int(match[1]) * len(order) + order.index(_part(match[2])), match[3]
    elif match := WHOLE.fullmatch(name):
        number, inner = order.index(_part(match[1])), match[2]
    branch = BRANCH.fullmatch(inner)
    inner = branch[3] if branch else inner
    place = next((theirs for theirs in PLACES if inner.startswith(theirs)), None)
    if place is None:
        raise original.foreign(f"it has a tensor '{name}'")
    within = f"branches.{2 * int(branch[1]) + int(branch[2])}." if branch else ""  # attention, then the gated layer
    return ("" if number is None else f"transformers.{number}.") + within + PLACES[place] + inner.removeprefix(place)


def _repeats(names: list[str], order: str, long: bool) -> dict[str, int]:
    """Return how many layers there are, and how many blocks in a row."""
    blocks = 1 + max(int(found[1]) for found in map(re.compile(r".*\.layers\.(\d+)\..*").fullmatch, names) if found)
    layers = blocks if long else 1 + max(int(found[1]) for found in map(LAYER.fullmatch, names) if found)
    return {"layers": layers, "depth": 1 if long else blocks}


def _sizes(original: Original, names: list[str]) -> dict[str, int]:
    """Return the sizes that shapes tell, and those that `settings` have to."""
    width, pixels = original.shape("to_patch_embedding.1.weight", 2)
    out = next((name for name in names if name.endswith(".fn.to_out.0.weight")), "fn.to_out.0.weight")
    gate = next((name for name in names if name.endswith(".fn.fc1_g.weight")), "fn.fc1_g.weight")
    heads = _asked(original, "heads", "heads")
    patch = max(side for side in range(1, isqrt(pixels) + 1) if pixels % side**2 == 0)
    return {
        "context": _asked(original, "context", "pre_seq"),
        "channels": pixels // patch**2,
        "patch": patch,
        "width": width,
        "heads": heads,
        "head_width": original.shape(out, 2)[1] // heads,
        "expansion": original.shape(gate, 2)[0] // width,
    }


def _asked(original: Original, ours: str, theirs: str) -> int:
    value = original.settings.get(ours, original.settings.get(theirs))
    if not isinstance(value, int) or value < 1:
        raise UserError(
            "PredFormer's checkpoints do not say how many context frames and attention heads the model has: "
            "--set model.context=10 --set model.heads=8 are those of Moving MNIST"
        )
    return value
