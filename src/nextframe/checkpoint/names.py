"""Models by name: make one, list them, say the name of one, and find what a user means by `--model`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nextframe.checkpoint.folder import load_model
from nextframe.core.clip import Task
from nextframe.core.errors import NotSupportedError, UnknownNameError
from nextframe.models import MODELS
from nextframe.models.base import Predictor


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
    """Return the models that need no training and can do `task` (None: any); they stand beside every result."""
    names = [name for name in MODELS if not needs_training(name)]
    return [name for name in names if task is None or create_model(name).capabilities.serves(task)]


def resolve_model(spec: str | os.PathLike[str] | Predictor) -> Predictor:
    """Return the model that `spec` means: a baseline's name, a model or run folder, or a model as it is.

    Raises:
        UserError: a model that has to be trained first, an unknown name, or a folder that cannot be read.
    """
    if isinstance(spec, Predictor):
        return spec
    name = os.fspath(spec)
    if name in MODELS and not needs_training(name):
        return create_model(name).eval()
    if Path(name).exists() or os.sep in name:
        return load_model(name)
    if name in MODELS:
        raise NotSupportedError(
            f"'{name}' has to be trained first: nextframe train {name} -o runs/{name}; or give a run folder"
        )
    raise UnknownNameError("model or run folder", name, MODELS)
