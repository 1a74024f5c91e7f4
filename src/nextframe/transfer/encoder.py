"""One interface to every model with features: an encoder of windows, with an output after each frame if it has one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nextframe.checkpoint import create_model, load_model, model_name, needs_training
from nextframe.checkpoint.folder import find_model_folder, read_config
from nextframe.core.clip import Clip
from nextframe.core.errors import NotSupportedError, UnknownNameError, UserError
from nextframe.core.seeds.seeding import seed_everything
from nextframe.data import ClipSet, flow
from nextframe.data.prepared.manifest import read_manifest
from nextframe.models import MODELS
from nextframe.models.contract import Predictor
from nextframe.models.protocols import Encoder, StepEncoder
from nextframe.training.recipe import ModelSection, model_fields, read_recipe


class WindowEncoder(nn.Module):
    """Windows (B, T, C, H, W) to outputs (B, S, D): after every frame if the model has them, else one, S = 1."""

    def __init__(self, model: Predictor) -> None:
        super().__init__()
        self.model = model

    def forward(self, frames: Tensor) -> Tensor:
        """Return the outputs that a softmax is put on."""
        if isinstance(self.model, StepEncoder):
            return self.model.step_features(frames)
        return self.features(frames)[:, None]

    def features(self, frames: Tensor) -> Tensor:
        """Return the model's features (B, D) of the windows, or of their last frames if it takes fewer."""
        can = self.model.capabilities
        context = frames if can.max_context is None else frames[:, -can.max_context :]
        if not isinstance(self.model, Encoder):
            raise NotSupportedError(f"{type(self.model).__name__} has no encoder, so it has no features")
        return self.model.features(Clip(context, frames[:, -1:]))


def open_encoder(spec: str, clips: ClipSet) -> Predictor:
    """Return the model that `spec` means: a run or model folder, or a registered name (with random weights).

    Raises:
        UserError: an unknown name, a folder that cannot be read, a model without features, or one that does not take
            the frames of `clips`; the line says which.
    """
    if Path(spec).exists() or "/" in spec:
        model = load_model(spec)
    elif spec in MODELS:
        if not needs_training(spec):
            raise NotSupportedError(f"'{spec}' is a baseline: it has no features to transfer")
        model = fresh_model(ModelSection(name=spec), clips, 0)
    else:
        raise UnknownNameError("model or run folder", spec, MODELS)
    _check(model, spec, clips)
    return model


def fresh_model(section: ModelSection, clips: ClipSet, *keys: int | str) -> Predictor:
    """Return a new model with random weights that depend on `keys` alone."""
    with torch.random.fork_rng():
        seed_everything(*keys, "weights")
        return create_model(section.name, **model_fields(section, clips)).eval()


def like(model: Predictor, *keys: int | str) -> Predictor:
    """Return a model of the same kind and size with random weights that depend on `keys` alone."""
    with torch.random.fork_rng():
        seed_everything(*keys, "weights")
        return create_model(model_name(model), **model.config.model_dump()).eval()


def trained_data(specs: Sequence[str]) -> dict[str, Any]:
    """Return the frames that the first run folder of `specs` was trained on, as fields of `DataConfig`.

    These are size and colour, and for a model of optical flow kind and max_flow; {} if no folder says.
    """
    for spec in specs:
        facts = training_facts(spec)
        task = facts["task"] if facts else None
        if facts and isinstance(task, dict) and task.get("size"):
            size, channels = (int(task["size"][0]), int(task["size"][1])), task.get("channels") or 0
            if channels == flow.CHANNELS:
                return {"size": size, "kind": flow.KIND, **_flow_scale(facts.get("recipe", {}).get("data", {}))}
            return {"size": size, "color": {1: "grey", 3: "rgb"}.get(channels)}
    return {}


def _flow_scale(data: dict[str, Any]) -> dict[str, Any]:
    """Return the max_flow of a recipe's data, or of its prepared clips if they are there; {}: the default."""
    prepared = Path(str(data.get("name", "")))
    if (prepared / "prepared.json").is_file():
        return {"max_flow": read_manifest(prepared)["settings"]["max_flow"]}
    return {"max_flow": data["max_flow"]} if "max_flow" in data else {}


def training_facts(spec: str) -> dict[str, Any] | None:
    """Return what a model folder says about its training; None for a name (random weights)."""
    if not Path(spec).exists():
        return None
    facts = read_config(find_model_folder(spec))
    found = {"model": facts["model"], "config": facts["config"], "task": facts["task"], **facts["training"]}
    if (Path(spec) / "recipe.yaml").exists():
        recipe = read_recipe(Path(spec))
        found["recipe"] = {
            "data": recipe.data.model_dump(mode="json", exclude_defaults=True),
            "training": recipe.training.model_dump(mode="json", exclude_defaults=True),
        }
    return found


@torch.no_grad()
def _check(model: Predictor, spec: str, clips: ClipSet) -> None:
    """Compute the features of one black window, so that a mismatch is reported before any work."""
    channels, height, width = clips.frame_shape
    takes = model.capabilities.channels
    if takes is not None and takes != channels:
        what = "features per frame" if (height, width) == (1, 1) else "channel(s)"
        raise UserError(f"{spec} takes {takes} {what}, {clips.name} has {channels}")
    trained = model.trained
    if not model.capabilities.any_size and trained is not None and trained.size not in (None, (height, width)):
        assert trained.size is not None
        sizes = f"{trained.size[0]}x{trained.size[1]}"
        raise UserError(
            f"{spec} takes frames of {sizes}, those of {clips.name} are {height}x{width}: give --size {sizes}"
        )
    WindowEncoder(model)(torch.zeros(1, clips.task.length, channels, height, width))
