"""The predictors: one file each, by name in `registry`."""

from nextframe.models.registry import CITED, MODELS, ORIGINALS

__all__ = ["CITED", "MODELS", "ORIGINALS"]
