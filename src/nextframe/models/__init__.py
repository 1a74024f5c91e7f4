"""The predictors: one file each, by name in `registry`."""

from nextframe.models.registry import MODELS

__all__ = ["MODELS"]
