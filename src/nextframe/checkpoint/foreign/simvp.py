"""SimVP and TAU of OpenSTL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt
from typing import Any

import torch
from torch import Tensor

from nextframe.checkpoint.foreign.translated import Original, Translated
from nextframe.core.errors import UserError
from nextframe.models.registry import MODELS

NORMS = {"norm1": "0.norm", "norm2": "1.norm"}  # of a block with two residual branches
FEED = {"mlp.fc1": "1.branch.expand", "mlp.fc2": "1.branch.reduce"}
BRANCHES = {**NORMS, **FEED, "layer_scale_1": "0.scale", "layer_scale_2": "1.scale"}
GATED = {**BRANCHES, "attn.proj_1": "0.branch.enter", "attn.proj_2": "0.branch.leave"}
LARGE_KERNEL = {
    **GATED,
    "attn.spatial_gating_unit.conv0": "0.branch.gate.seen.near",
    "attn.spatial_gating_unit.conv_spatial": "0.branch.gate.seen.far",
    "attn.spatial_gating_unit.conv1": "0.branch.gate.seen.mix",
    "attn.spatial_gating_unit.fc": "0.branch.gate.weigh",
    "mlp.dwconv.dwconv": "1.branch.local",
}
BLOCKS: dict[str, dict[str, str]] = {  # of the parts of a translator's block: OpenSTL's name, then ours
    "convmixer": {"conv_dw": "0.branch.0", "norm_1": "0.branch.2", "conv_pw": "1", "norm_2": "3"},
    "convnext": {
        "conv_dw": "branch.0",
        "norm": "branch.1",
        "mlp.fc1": "branch.2.expand",
        "mlp.fc2": "branch.2.reduce",
        "gamma": "scale",
    },
    "gsta": LARGE_KERNEL,
    "hornet": {
        **NORMS,
        "gamma1": "0.scale",
        "gamma2": "1.scale",
        "gnconv.proj_in": "0.branch.enter",
        "gnconv.dwconv": "0.branch.seen",
        "gnconv.pws": "0.branch.widen",
        "gnconv.proj_out": "0.branch.leave",
        "pwconv1": "1.branch.expand",
        "pwconv2": "1.branch.reduce",
    },
    "mlp-mixer": {
        **NORMS,
        "mlp_tokens.fc1": "0.branch.expand",
        "mlp_tokens.fc2": "0.branch.reduce",
        "mlp_channels.fc1": "1.branch.expand",
        "mlp_channels.fc2": "1.branch.reduce",
    },
    "moganet": {
        **GATED,
        "attn.gate": "0.branch.gate",
        "attn.sigma": "0.branch.contrast.sigma",
        "attn.value.DW_conv0": "0.branch.value.near",
        "attn.value.DW_conv1": "0.branch.value.middle",
        "attn.value.DW_conv2": "0.branch.value.far",
        "attn.value.PW_conv": "0.branch.value.mix",
        "mlp.dwconv": "1.branch.local",
        "mlp.decompose": "1.branch.refine.common.0",
        "mlp.sigma": "1.branch.refine.sigma",
    },
    "poolformer": BRANCHES,
    "swin": {
        **NORMS,
        **FEED,
        "attn.qkv": "0.branch.attention.qkv",
        "attn.proj": "0.branch.attention.out",
        "attn.relative_position_bias_table": "0.branch.attention.bias",
    },
    "tau": LARGE_KERNEL,
    "uniformer": {
        "pos_embed": "0.branch",
        "norm1": "1.norm",
        "conv1": "1.branch.0",
        "attn.qkv": "1.branch.qkv",
        "attn.proj": "1.branch.out",
        "attn": "1.branch.1",
        "conv2": "1.branch.2",
        "gamma_1": "1.scale",
        "norm2": "2.norm",
        "mlp.fc1": "2.branch.expand",
        "mlp.fc2": "2.branch.reduce",
        "gamma_2": "2.scale",
    },
    "van": LARGE_KERNEL,
    "vit": {**NORMS, **FEED, "attn.qkv": "0.branch.qkv", "attn.proj": "0.branch.out"},
}
MARKS = {  # a tensor that, of the translators not above it, only this one's blocks have; van has that of gsta
    "tau": "attn.spatial_gating_unit.fc.0.weight",
    "gsta": "attn.spatial_gating_unit.conv1.weight",
    "swin": "attn.relative_position_bias_table",
    "uniformer": "pos_embed.weight",
    "vit": "attn.qkv.weight",
    "mlp-mixer": "mlp_tokens.fc1.weight",
    "moganet": "attn.gate.weight",
    "hornet": "gnconv.proj_in.weight",
    "convmixer": "conv_pw.weight",
    "convnext": "conv_dw.weight",
    "poolformer": "mlp.fc1.weight",
}
FIRST_NORM = {"convmixer": "norm_1", "convnext": "norm"}  # else norm1
EXPAND = {"mlp-mixer": "mlp_channels.fc1", "hornet": "pwconv1"}  # first layer of the feed-forward part, else mlp.fc1
UNUSED = ("attn.relative_position_index", "attn_mask")  # of swin's blocks: what is computed, or never read


def translate(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's SimVP, whatever its translator; of `settings` it uses drop, drop_path and in_shape, if there.

    Raises:
        UserError: weights of another model, or frames whose size is neither known nor square, which mlp-mixer needs.
    """
    return _translated("simvp", Original("OpenSTL's SimVP", state, settings))


def translate_tau(state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Translated:
    """Read OpenSTL's TAU; of `settings` it uses alpha, drop and drop_path, if there.

    Raises:
        UserError: weights of another model, a SimVP with another translator included.
    """
    original = Original("OpenSTL's TAU", state, settings)
    if _translator(original) != "tau":
        raise original.foreign(f"they are of SimVP with the translator {_translator(original)}")
    return _translated("tau", original)


def _translated(model: str, original: Original) -> Translated:
    fields = _fields(original)
    if model == "tau":
        fields["alpha"] = float(original.settings.get("alpha", 0.1))
    own = _expected(model, fields)
    original.drop(*(name for name in original.left if name.endswith(UNUSED)))
    weights = {}
    for name, ours in [(name, _renamed(name, fields)) for name in original.left]:
        if ours in own and _sides(own[ours]) == _sides(original.left[name]):
            weights[ours] = original.take(name).reshape(own[ours].shape)  # a linear layer may be a 1x1 convolution
    dropped = original.rest()
    if missing := own.keys() - weights.keys():
        raise original.foreign(f"there is nothing for '{min(missing)}'")
    return Translated(model, fields, weights, dropped)


def _expected(model: str, fields: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the state dict of our model, without values."""
    kind = MODELS.get(model)
    with torch.device("meta"):
        state: dict[str, Tensor] = kind(kind.Config.parse(fields)).state_dict()
    return state


def _sides(value: Tensor) -> list[int]:
    return [side for side in value.shape if side != 1]


def _renamed(name: str, fields: Mapping[str, Any]) -> str:
    """Return our name of OpenSTL's tensor `name`."""
    last = fields["encoder_layers"] - 1
    layer = re.fullmatch(r"(enc|dec)\.\1\.(\d+)\.conv\.(conv(?:\.0)?|norm)\.(\w+)", name)
    if layer:
        number, part = int(layer[2]), f"{2 if layer[3] == 'norm' else 0}.{layer[4]}"
        if layer[1] == "enc":
            return f"encoder.rest.{number - 1}.{part}" if number else f"encoder.first.{part}"
        return f"decoder.first.{number}.{part}" if number < last else f"decoder.last.{part}"
    if name.startswith("dec.readout."):
        return name.replace("dec.readout", "decoder.paint")
    if fields["translator"] == "incepu":
        return _renamed_inception(name)
    step = re.fullmatch(r"hid\.enc\.(\d+)\.(block|reduction)\.(.+)", name)
    if not step:
        return name
    if step[2] == "reduction":
        return f"translator.{step[1]}.resize.{step[3]}"
    return f"translator.{step[1]}.block.{_renamed_part(step[3], BLOCKS[fields['translator']])}"


def _renamed_inception(name: str) -> str:
    name = re.sub(r"^hid\.(enc|dec)", lambda found: f"translator.{'down' if found[1] == 'enc' else 'up'}", name)
    name = re.sub(r"\.layers\.(\d+)\.(conv|norm)", lambda f: f".branches.{f[1]}.{int(f[2] == 'norm')}", name)
    return name.replace(".conv1.", ".reduce.")


def _renamed_part(name: str, parts: Mapping[str, str]) -> str:
    for theirs, ours in parts.items():
        if name == theirs or name.startswith(f"{theirs}."):
            return ours + name.removeprefix(theirs)
    return name


def _translator(original: Original) -> str:
    """Return which translator the tensors are of."""
    if "hid.enc.0.conv1.weight" in original.left:
        return "incepu"
    parts = {re.sub(r"^hid\.enc\.\d+\.block\.", "", name) for name in original.left}
    found = next((translator for translator, mark in MARKS.items() if mark in parts), None)
    if found is None:
        raise original.foreign("it has no known translator")
    if found == "gsta":
        wide, narrow = original.shape(f"hid.enc.0.block.{MARKS[found]}", 4)[:2]
        return "gsta" if wide == 2 * narrow else "van"
    return found


def _fields(original: Original) -> dict[str, Any]:
    """Return our config's fields, as shapes tell them, and the original's settings where they do not."""
    encoder_width, channels, kernel, _ = original.shape("enc.enc.0.conv.conv.weight", 4)
    layers, translator = original.count("enc.enc.{}.conv.norm.weight"), _translator(original)
    fields: dict[str, Any] = {
        "translator": translator,
        "channels": channels,
        "encoder_width": encoder_width,
        "encoder_layers": layers,
        "encoder_kernel": kernel,
        "decoder_kernel": original.shape(f"dec.dec.{layers - 1}.conv.conv.weight", 4)[2],
        "dropout": float(original.settings.get("drop", 0)),
        "drop_path": (0.01, float(original.settings.get("drop_path", 0))),
    }
    if translator == "incepu":
        maps = original.shape("hid.enc.0.conv1.weight", 4)[1]
        width = original.shape("hid.enc.1.conv1.weight", 4)[1]
        fields["blocks"] = original.count("hid.enc.{}.conv1.weight")
    else:
        norm = FIRST_NORM.get(translator, "norm1")
        maps, width = (original.shape(f"hid.enc.{block}.block.{norm}.weight", 1)[0] for block in (0, 1))
        fields["blocks"] = original.count(f"hid.enc.{{}}.block.{norm}.weight")
    fields |= {"context": maps // encoder_width, "width": width}
    return fields | _special(original, fields)


def _special(original: Original, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that only some translators have, when the others are known."""
    block, translator, special = "hid.enc.1.block", fields["translator"], dict[str, Any]()
    if translator not in ("convmixer", "incepu"):
        hidden = original.shape(f"{block}.{EXPAND.get(translator, 'mlp.fc1')}.bias", 1)[0]
        special["ratio"] = hidden / fields["width"]
    if translator == "swin":
        offsets = original.shape(f"{block}.attn.relative_position_bias_table", 2)[0]
        special["window"] = (isqrt(offsets) + 1) // 2
    if translator == "mlp-mixer":
        places = original.shape(f"{block}.mlp_tokens.fc1.weight", 2)[1]
        size = _size(original, places, 2 ** (fields["encoder_layers"] // 2))
        special["frame_height"], special["frame_width"] = size
    return special


def _size(original: Original, places: int, stride: int) -> tuple[int, int]:
    """Return height and width of the frames whose maps have `places`: those of in_shape, else of a square."""
    if "in_shape" in original.settings:
        _, _, height, width = original.settings["in_shape"]
        return int(height), int(width)
    side = isqrt(places)
    if side**2 != places:
        raise UserError(f"the checkpoint does not say its in_shape, and its maps of {places} places are not square")
    return side * stride, side * stride
