"""The predictors: one file each, by name in `registry`."""

from nextframe.models.registry import MODELS, ORIGINALS

__all__ = ["MODELS", "ORIGINALS"]
