"""What the comparisons with OpenSTL's recurrent models share: its modules without the package, and how they are run."""

from __future__ import annotations

import importlib
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from common import Outcome, commit, place, record
from torch import Tensor, nn

import equal
from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.table import translation
from nextframe.core.clip import Clip
from nextframe.layers.patches import fold, unfold
from nextframe.models.bases.recurrent import RecurrentPredictor

REPOSITORY = "https://github.com/chengtan9907/OpenSTL"
CONTEXT, HORIZON, SIDE = 4, 3, 16
ALWAYS_TRUE = {"kind": "scheduled", "fall": 0.0}


def given_folder(about: str | None) -> Path:
    """Return the folder of the original's checkout, as the command line gives it."""
    parser = ArgumentParser(description=about)
    parser.add_argument("--original", type=Path, required=True, help="folder of the original's checkout")
    return Path(parser.parse_args().original)


def original_class(folder: Path, blocks: Mapping[str, tuple[str, ...]], module: str, name: str) -> Any:
    """Return class `name` of openstl.models.`module`, without the rest of the package and what that needs.

    `blocks` are the names that it imports from openstl.modules, by the file that has them.
    """
    for package in ("openstl", "openstl.modules", "openstl.models"):
        bare = ModuleType(package)
        bare.__path__ = [str(folder / package.replace(".", "/"))]
        sys.modules[package] = bare
    for file, names in blocks.items():
        source = importlib.import_module(f"openstl.modules.{file}")
        for block in names:
            setattr(sys.modules["openstl.modules"], block, getattr(source, block))
    return getattr(importlib.import_module(f"openstl.models.{module}"), name)


def settings(patch: int, **more: Any) -> dict[str, Any]:
    """Return a model's settings, as OpenSTL names them, for small grey frames."""
    common = {
        "in_shape": (CONTEXT, 1, SIDE, SIDE),
        "pre_seq_length": CONTEXT,
        "aft_seq_length": HORIZON,
        "total_length": CONTEXT + HORIZON,
        "patch_size": patch,
        "stride": 1,
        "layer_norm": 0,
        "reverse_scheduled_sampling": 0,
    }
    return {**common, **more}


def build(kind: Any, chosen: Mapping[str, Any]) -> nn.Module:
    """Return the original model, in float64."""
    hidden = [int(width) for width in chosen["num_hidden"].split(",")]
    model: nn.Module = kind(len(hidden), hidden, SimpleNamespace(**chosen)).double()
    return model


def outcome_of(model: nn.Module, frames: Tensor, patch: int, parameter: str) -> Outcome:
    """Return what the original makes of `frames`, its predictions fed back, and in training on true frames alone."""
    maps = fold(frames, patch).permute(0, 1, 3, 4, 2)  # (B, T, h, w, D)
    true = torch.ones_like(maps[:, : HORIZON - 1])
    with torch.no_grad():
        predicted = model(maps, torch.zeros_like(true), return_loss=False)[0][:, -HORIZON:]
    if predicted.shape[2:] != (maps.shape[4], *maps.shape[2:4]):  # MAU has channels first already
        predicted = predicted.permute(0, 1, 4, 2, 3)
    forget(model)
    loss = model(maps, true)[1]
    loss.backward()
    gradient = dict(model.named_parameters())[parameter].grad
    assert gradient is not None
    return Outcome(unfold(predicted, patch), loss.detach(), gradient)


def forget(model: nn.Module) -> None:
    """Empty what MIM's blocks keep from one call to the next."""
    for module in model.modules():
        if getattr(module, "convlstm_c", None) is not None:
            module.convlstm_c = None


def outcome_of_ours(model: RecurrentPredictor, frames: Tensor, parameter: str) -> Outcome:
    """Return what our model makes of `frames`."""
    clip = Clip(frames[:, :CONTEXT], frames[:, CONTEXT:])
    with torch.no_grad():
        output = model.eval().forecast(model.request(clip.context, HORIZON))
    loss, _ = model.train().loss(clip)
    loss.backward()
    gradient = dict(model.named_parameters())[parameter].grad
    assert gradient is not None
    return Outcome(output, loss.detach(), gradient)


def compare(
    name: str, folder: Path, kind: Any, chosen: dict[str, Any], parameters: tuple[str, str], registered: str = ""
) -> None:
    """Run the original `kind` with settings `chosen` beside our model, whose name begins `name`, and record it.

    `parameters` are the original's and ours whose gradients are compared; they have the same order of elements. Our
    model is `registered`, where its name does not begin `name`.
    """
    torch.set_default_dtype(torch.float64)
    registered = registered or name.split("+")[0]
    original = build(kind, chosen)

    def ours_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        weights = translation(registered)(state, chosen).weights
        return {key: value for key, value in weights.items() if key != "sampling.steps"}

    fields = {**translation(registered)(original.state_dict(), chosen).fields, "sampling": ALWAYS_TRUE}
    ours = create_model(registered, **fields)
    place(ours, original, ours_of)
    frames = equal.frames(2, CONTEXT + HORIZON, 1, SIDE, SIDE)
    theirs = outcome_of(original, frames, chosen["patch_size"], parameters[0])
    own = outcome_of_ours(ours, frames, parameters[1])
    theirs = Outcome(theirs.output, theirs.loss, theirs.gradient.reshape(own.gradient.shape))
    about = {
        "original": {"repository": REPOSITORY, "commit": commit(folder), "settings": chosen},
        "frames": {"shape": list(frames.shape), "context": CONTEXT, "seed": 0},
        "parameter": parameters[1],
    }
    record(name.replace("+", "-"), registered, fields, about, theirs, own)
