"""Run SwinLSTM beside ours: python scripts/originals/swinlstm.py --original FOLDER --authors FOLDER --timm FOLDER

The folders: OpenSTL's checkout, that of SwinLSTM's authors, and one with the package timm 0.6.11, which OpenSTL's
environment names (its code takes one name from where later versions have it). The authors also need einops.
"""

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
from openstl_recurrent import CONTEXT, HORIZON, REPOSITORY, original_class, outcome_of_ours
from torch import Tensor, nn

import equal
from nextframe.checkpoint import create_model
from nextframe.checkpoint.foreign.swinlstm import translate

AUTHORS = "https://github.com/SongTang-x/SwinLSTM"
SMALL: dict[str, Any] = {"embed_dim": 8, "patch_size": 2, "window_size": 2}
DEEP = {**SMALL, "depths_downsample": [2, 3], "depths_upsample": [3, 2], "num_heads": [2, 4]}
CHOSEN: dict[str, dict[str, Any]] = {  # file name: settings
    "swinlstm-d": DEEP,
    "swinlstm-d-authors": DEEP,
    "swinlstm-b": {**SMALL, "depths": 3, "num_heads": 2},
    "swinlstm-b-authors": {**SMALL, "depths": [3, 2], "num_heads": [2, 4]},
}
SIDE = 16


def use_timm(folder: Path) -> None:
    """Make timm's blocks of Swin Transformer importable without the rest of the package and what that needs."""
    for name in ("timm", "timm.models", "timm.data"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = [str(folder / name.replace(".", "/"))]
    vars(sys.modules["timm"])["__version__"] = "0.6.11"
    vars(sys.modules["timm.data"]).update(vars(importlib.import_module("timm.data.constants")))
    sys.modules["timm.layers"] = importlib.import_module("timm.models.layers")


def openstl(folder: Path, form: str, chosen: Mapping[str, Any]) -> nn.Module:
    """Return OpenSTL's port, which works on whole sequences."""
    blocks = {"swinlstm_modules": ("DownSample", "UpSample", "STconvert")}
    kind = original_class(folder, blocks, "swinlstm_model", f"SwinLSTM_{form}_Model")
    names = ("depths_downsample", "depths_upsample", "num_heads") if form == "D" else ()
    settings = SimpleNamespace(**chosen, in_shape=(CONTEXT, 1, SIDE, SIDE))
    return kind(*(chosen[name] for name in names), configs=settings)  # type: ignore[no-any-return]


def authors(folder: Path, form: str, chosen: Mapping[str, Any]) -> nn.Module:
    """Return the authors' model of one step."""
    sys.path.append(str(folder))
    kind = importlib.import_module(f"SwinLSTM_{form}").SwinLSTM
    rates = dict.fromkeys(("drop_rate", "attn_drop_rate", "drop_path_rate"), 0.0) if form == "B" else {}
    return kind(**chosen, **rates, img_size=SIDE, in_chans=1)  # type: ignore[no-any-return]


def run_openstl(model: Any, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Return what it predicts for every next frame, and its loss."""
    following, loss = model(frames.permute(0, 1, 3, 4, 2))
    return following.permute(0, 1, 4, 2, 3), loss


def run_authors(model: Any, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Do what their training does around the model: read the context, then the model's own frames."""
    states, following = [[None] * 2] * (2 if hasattr(model, "Downsample") else 1), list[Tensor]()
    for index in range(frames.shape[1] - 1):
        frame = frames[:, index] if index < CONTEXT else following[-1]
        out, *states = model(frame, *states)
        following.append(out)
    both = torch.stack(following, dim=1)
    return both, nn.functional.mse_loss(both, frames[:, 1:])


def compare(name: str, original: nn.Module, run: Any, about: Mapping[str, Any]) -> None:
    """Run the original beside ours, and record it."""
    for module in original.modules():
        if type(module).__name__ == "DropPath":
            module.drop_prob = 0.0  # type: ignore[assignment]
    fields = {**translate(original.state_dict(), {}).fields, "drop_path": 0.0}
    ours = create_model("swinlstm", **fields)

    def ours_of(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: value for key, value in translate(state, {}).weights.items() if key != "sampling.steps"}

    place(ours, original, ours_of)
    frames = equal.frames(2, CONTEXT + HORIZON, 1, SIDE, SIDE)
    following, loss = run(original, frames)
    loss.backward()
    parameters = original.state_dict(keep_vars=True)
    slopes = {key: torch.zeros_like(value) if value.grad is None else value.grad for key, value in parameters.items()}
    chosen = "down.0.blocks.0.attention.bias"
    outcome = Outcome(following[:, CONTEXT - 1 :].detach(), loss.detach(), ours_of(slopes)[chosen])
    facts = {"frames": {"shape": list(frames.shape), "context": CONTEXT, "seed": 0}, "parameter": chosen}
    record(name, "swinlstm", fields, {"original": about, **facts}, outcome, outcome_of_ours(ours, frames, chosen))


def main() -> None:
    """Compare both forms with both codes."""
    parser = ArgumentParser(description=__doc__)
    for folder in ("original", "authors", "timm"):
        parser.add_argument(f"--{folder}", type=Path, required=True)
    folders = parser.parse_args()
    torch.set_default_dtype(torch.float64)
    use_timm(folders.timm)
    for name, chosen in CHOSEN.items():
        form = name.split("-")[1].upper()
        if name.endswith("authors"):
            original, run, about = authors(folders.authors, form, chosen), run_authors, AUTHORS
        else:
            original, run, about = openstl(folders.original, form, chosen), run_openstl, REPOSITORY
        at = commit(folders.authors if about == AUTHORS else folders.original)
        compare(name, original, run, {"repository": about, "commit": at, "settings": chosen})


if __name__ == "__main__":
    main()
