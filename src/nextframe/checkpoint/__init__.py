"""Model folders, and models by name."""

from nextframe.checkpoint.folder import load_model, model_name, registered_name, save_model, take_weights
from nextframe.checkpoint.names import (
    DEFAULT_MIDDLE,
    DEFAULT_MODEL,
    baseline_names,
    create_model,
    list_models,
    load,
    needs_training,
    resolve_model,
    shipped_for_video,
)
from nextframe.checkpoint.weights import find_here, find_trained, shipped_models, trained_models
from nextframe.core.files.atomic import replaced_folder, settled

__all__ = [
    "DEFAULT_MIDDLE",
    "DEFAULT_MODEL",
    "baseline_names",
    "create_model",
    "find_here",
    "find_trained",
    "list_models",
    "load",
    "load_model",
    "model_name",
    "needs_training",
    "registered_name",
    "replaced_folder",
    "resolve_model",
    "save_model",
    "settled",
    "shipped_for_video",
    "shipped_models",
    "take_weights",
    "trained_models",
]
