"""Models by name: make one, list them, load one, and resolve what a user gives as `--model`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import nn

from nextframe.checkpoint.folder import load_model
from nextframe.checkpoint.hub import HubModel, fetch_model, parse_hub_name
from nextframe.checkpoint.weights import find_trained, shipped_models, trained_models
from nextframe.core.clip import Task
from nextframe.core.errors import NotSupportedError, UnknownNameError, UserError
from nextframe.models import MODELS
from nextframe.models.contract import Predictor
from nextframe.models.wrap import Module

DEFAULT_MODEL = "motion"  # of those that come with the package, the one that predicts real video best
DEFAULT_MIDDLE = "flow-middle"  # the same for the frame between two


def list_models() -> list[str]:
    """Return the name of every registered model, baselines first."""
    return MODELS.names()


def create_model(name: str, **fields: Any) -> Predictor:
    """Return a new, untrained model `name`; `fields` are those of its config.

    Raises:
        UserError: an unknown name, field or value; the line says the nearest known one.
    """
    model: type[Predictor] = MODELS.get(name)
    return model(model.Config.parse(fields, where=f"model '{name}'"))


def needs_training(name: str) -> bool:
    """Return whether model `name` has stages to train: a baseline has none."""
    model: type[Predictor] = MODELS.get(name)
    return model.stages is not Predictor.stages


def baseline_names(task: Task | None = None) -> list[str]:
    """Return the models that need no training and can do `task` (None: any); they are compared with every result."""
    names = [name for name in MODELS if not needs_training(name)]
    return [name for name in names if task is None or create_model(name).capabilities.serves(task)]


def shipped_for_video(task: Task) -> list[str]:
    """Return the models that ship with the package and can do `task` on colour video of any size."""
    able = {name: load(name).capabilities for name in shipped_models()}
    return [name for name, can in able.items() if can.channels in (None, 3) and can.any_size and can.serves(task)]


def load(spec: str | os.PathLike[str], *, revision: str | None = None, module: Module | None = None) -> Predictor:
    """Return a trained model, in eval mode on the CPU; nothing in its folder is executed.

    Args:
        spec: a run folder, a model folder, the name of a trained model, or one of the Hub: user/name,
            user/name@revision, or its address, with /tree/REVISION for another revision. A folder that exists takes
            precedence over a name.
        revision: of a model of the Hub: a branch, a tag or a commit.
        module: the code of a module that was wrapped with `nextframe.wrap`, or its class: it gets the weights.

    Raises:
        BadInputError: no such folder or model, or one that is damaged or of another version; the line says what to do.
        UserError: a revision of something that is not on the Hub.
    """
    name = os.fspath(spec)
    here = Path(name).exists()
    trained = None if here or revision is not None else find_trained(name)
    on_hub = None if here or trained else parse_hub_name(name)
    if on_hub is None and revision is not None:
        raise UserError(f"'{name}' is not on the Hub, so it has no revision '{revision}'")
    if on_hub is not None:
        return load_model(fetch_model(HubModel(on_hub.name, revision or on_hub.revision)), module=module)
    return load_model(trained or name, module=module)


def resolve_model(spec: str | os.PathLike[str] | Predictor) -> Predictor:
    """Return the model that `spec` means: a baseline's name, anything that `load` takes, or a model itself.

    Raises:
        UserError: a model that has to be trained first, an unknown name, or a folder that cannot be read.
    """
    if isinstance(spec, Predictor):
        return spec
    if isinstance(spec, nn.Module):
        raise UserError(f"{type(spec).__name__} is a torch module: give nextframe.wrap(module, context=, horizon=)")
    name = os.fspath(spec)
    if name in MODELS and not needs_training(name):
        return create_model(name).eval()
    if Path(name).exists() or os.sep in name or name in trained_models():
        return load(name)
    if name in MODELS:
        raise NotSupportedError(
            f"'{name}' has to be trained first: nextframe train {name} --data PATH -o runs/{name}; or give a run folder"
        )
    raise UnknownNameError("model or run folder", name, dict.fromkeys([*MODELS, *trained_models()]))
