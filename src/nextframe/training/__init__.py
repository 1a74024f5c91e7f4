"""Training: recipes, the loop, run folders and resuming."""

from nextframe.training.evaluation_data import evaluation_data
from nextframe.training.folder.logs import read_metrics
from nextframe.training.recipe import (
    ModelSection,
    Recipe,
    TrainingConfig,
    override,
    read_recipe,
)
from nextframe.training.run import Run, train

__all__ = [
    "ModelSection",
    "Recipe",
    "Run",
    "TrainingConfig",
    "evaluation_data",
    "override",
    "read_metrics",
    "read_recipe",
    "train",
]
