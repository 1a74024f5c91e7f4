"""SwinLSTM of OpenSTL and of its authors, who name some tensors differently."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated, new_count
from nextframe.models.swinlstm import SwinLSTM, SwinLSTMConfig

RENAMED = (  # patterns of their names, and what stands there in ours
    (r"^(Downsample|ST)\.patch_embed\.proj", "embed"),
    (r"^(Downsample|ST)\.patch_embed\.norm", "embed_norm"),
    (r"^(Upsample\.Unembed\.Conv|ST\.patch_inflated\.Conv|ST\.PatchInflated\.ConvT)", "paint"),
    (r"^ST\.layer\.STBs", "down.0.blocks"),
    (r"^(Downsample|ST)\.layers\.(\d+)\.(STBs|Swin\.layers)", r"down.\2.blocks"),
    (r"^Upsample\.layers\.(\d+)\.(STBs|Swin\.layers)", r"up.\1.blocks"),
    (r"^Downsample\.downsample", "shrink"),
    (r"^Upsample\.upsample", "grow"),
    (r"\.(reduction|expand)\.", ".mix."),
    (r"\.norm1\.", ".norm."),
    (r"\.norm2\.", ".mlp_norm."),
    (r"\.attn\.relative_position_bias_table", ".attention.bias"),
    (r"\.attn\.proj\.", ".attention.out."),
    (r"\.attn\.", ".attention."),
    (r"\.mlp\.fc1\.", ".mlp.0."),
    (r"\.mlp\.fc2\.", ".mlp.2."),
    (r"\.red\.", ".merge."),
)
COMPUTED = ("attn.relative_position_index", "attn_mask")  # constants that follow from window and size
UNUSED = re.compile(r"Upsample\.patch_embed\..*|.*\.(STBs|layers)\.\d*[13579]\.red\..*")


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read SwinLSTM-D or SwinLSTM-B; nothing of `settings` is needed.

    Raises:
        UserError: weights of another model, or of frames so small that some maps were smaller than a window.
    """
    original = Original("SwinLSTM", state, settings)
    for name in [name for name in original.left if name.endswith(COMPUTED)]:
        original.take(name)
    original.drop(*(name for name in original.left if UNUSED.fullmatch(name)))
    theirs = {_renamed(name): name for name in original.left}
    fields = _fields(original, theirs)
    with torch.device("meta"):
        ours = SwinLSTM(SwinLSTMConfig.parse(fields)).state_dict()
    weights = new_count()
    for name in ours.keys() - weights.keys():
        if original.shape(theirs.get(name, name), ours[name].ndim) != ours[name].shape:
            raise original.foreign(f"tensor '{theirs[name]}' has another shape than those before it lead to expect")
        weights[name] = original.take(theirs[name])
    return Translated("swinlstm", fields, weights, original.rest())


def _renamed(name: str) -> str:
    for pattern, ours in RENAMED:
        name = re.sub(pattern, ours, name)
    return name


def _fields(original: Original, theirs: Mapping[str, str]) -> dict[str, Any]:
    """Return our config's fields, as shapes tell them; `theirs` has the original's name of each of our tensors."""

    def shape(name: str, length: int) -> tuple[int, ...]:
        return original.shape(theirs.get(name, name), length)

    def count(pattern: str) -> int:
        return next(number for number in range(len(theirs) + 1) if pattern.format(number) not in theirs)

    def blocks(way: str) -> tuple[int, ...]:
        cells = range(count(way + ".{}.blocks.0.norm.weight"))
        return tuple(count(f"{way}.{cell}.blocks.{{}}.norm.weight") for cell in cells)

    width, channels, patch, _ = shape("embed.weight", 4)
    down, up = blocks("down"), blocks("up")
    tables = [shape(f"down.{cell}.blocks.0.attention.bias", 2) for cell in range(len(down))]
    depths = {"form": "D", "depths_down": down, "depths_up": up[::-1]} if up else {"form": "B", "depths": down}
    if not tables:
        raise original.foreign("there are no cells")
    return {
        "channels": channels,
        "patch": patch,
        "width": width,
        "window": (isqrt(tables[0][0]) + 1) // 2,
        "heads": tuple(heads for _, heads in tables),
        **depths,
    }
