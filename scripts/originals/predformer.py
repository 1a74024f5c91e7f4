"""PredFormer beside its original, every interleaving: python scripts/originals/predformer.py --original FOLDER

FOLDER is a checkout of https://github.com/yyyujintang/PredFormer; timm and einops must be importable.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any
from unittest import mock

import common
import torch
from torch import nn

import equal
from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.predformer import translate
from nextframe.core.clip import Clip

FILES = {
    "full": "FullAttention",
    "fac-st": "FacST",
    "fac-ts": "FacTS",
    "st": "Binary_ST",
    "ts": "Binary_TS",
    "sts": "Triplet_STS",
    "tst": "Triplet_TST",
    "tsst": "Quadruplet_TSST",
    "stts": "Quadruplet_STTS",
}
FIELDS = {
    "context": 3,
    "channels": 2,
    "patch": 4,
    "layers": 2,
    "width": 12,
    "heads": 2,
    "head_width": 5,
    "expansion": 3,
}
SHAPE = (2, 7, 2, 12, 16)  # two passes, the second cut short
PARAMETER = "transformers.0.branches.0.mix.weight"


def original_module(folder: Path, name: str) -> types.ModuleType:
    """Import one file of the original, without what it imports to count operations."""
    for missing in ("fvcore", "fvcore.nn", "openstl", "openstl.utils"):
        sys.modules.setdefault(missing, mock.MagicMock())
    sys.modules["openstl.modules"] = _import("predformer_modules", folder / "openstl/modules/PredFormer_modules.py")
    return _import(f"predformer_{name}", folder / f"openstl/models/PredFormer_{name}.py")


def _import(name: str, path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings_of(fields: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Return the original's `model_config`."""
    return {
        "height": size[0],
        "width": size[1],
        "num_channels": fields["channels"],
        "pre_seq": fields["context"],
        "after_seq": fields["context"],
        "patch_size": fields["patch"],
        "dim": fields["width"],
        "heads": fields["heads"],
        "dim_head": fields["head_width"],
        "dropout": 0.0,
        "attn_dropout": 0.0,
        "drop_path": 0.0,
        "scale_dim": fields["expansion"],
        "depth": fields["depth"],
        "Ndepth": fields["layers"],
    }


def compare(folder: Path, order: str) -> None:
    """Run both on the same weights and frames and write the record."""
    fields = FIELDS | {"interleaving": order, "depth": 1 if order.startswith(("fac", "full")) else 2}
    settings = settings_of(fields, (SHAPE[3], SHAPE[4]))
    with mock.patch.object(torch, "FloatTensor", torch.DoubleTensor):  # its positions are not parameters
        original = original_module(folder, FILES[order]).PredFormer_Model(settings)
    model = "predformer-fac-st" if order == "fac-st" else "predformer"
    ours = create_model(model, **fields)
    common.place(ours, original, lambda state: translate(state, settings | {"interleaving": order}).weights)
    frames = equal.frames(*SHAPE)
    clip = Clip(frames[:, : fields["context"]], frames[:, fields["context"] :])
    about = {
        "original": {
            "repository": "https://github.com/yyyujintang/PredFormer",
            "commit": common.commit(folder),
            "file": f"openstl/models/PredFormer_{FILES[order]}.py",
            "settings": settings,
        },
        "frames": {"shape": SHAPE, "context": fields["context"], "seed": 0},
        "parameter": PARAMETER,
    }
    first = "temporal_transformer.layers" if order == "fac-ts" else ""  # it makes the other one first
    theirs = outcome_of_original(original, clip, first)
    common.record(f"predformer-{order}", model, fields, about, theirs, outcome_of_ours(ours, clip))


def outcome_of_original(model: nn.Module, clip: Clip, first: str) -> common.Outcome:
    """Predict as their method does: whole passes, each on the frames of the one before.

    The gradient is that of the first attention whose name begins with `first`.
    """
    seen, parts = clip.context, []
    while sum(part.shape[1] for part in parts) < clip.horizon:
        seen = model(seen)
        parts.append(seen)
    output = torch.cat(parts, dim=1)[:, : clip.horizon]
    loss = nn.MSELoss()(output, clip.target)
    loss.backward()
    named = ((name, value) for name, value in model.named_parameters() if name.startswith(first))
    gradient = next(value.grad for name, value in named if name.endswith("to_qkv.weight"))
    return common.Outcome(output.detach(), loss.detach(), gradient)


def outcome_of_ours(model: Any, clip: Clip) -> common.Outcome:
    """Predict and take the gradient with ours."""
    output = model.eval().forecast(model.request(clip.context, clip.horizon)).detach()
    loss, _ = model.train().stages()[0].objectives[0].loss(clip)
    loss.backward()
    return common.Outcome(output, loss.detach(), dict(model.named_parameters())[PARAMETER].grad)


def main() -> None:
    """Compare all interleavings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--original", type=Path, required=True)
    folder = parser.parse_args().original
    torch.set_default_dtype(torch.float64)
    for order in FILES:
        compare(folder, order)


if __name__ == "__main__":
    main()
