"""The formats of a model folder's config.json."""

from __future__ import annotations

from typing import Any

from nextframe.checkpoint.renames import renamed
from nextframe.core.files.formats import Formats


def _with_checksum(facts: dict[str, Any]) -> dict[str, Any]:
    """Format 2 has the checksum of the weights; None: not known."""
    return {**facts, "weights_sha256": None}


def _with_originals(facts: dict[str, Any]) -> dict[str, Any]:
    """In format 3 the forms of papers and notebooks are models of their own, not fields of a config."""
    name, fields = facts.get("model"), facts.get("config")
    if not isinstance(name, str) or not isinstance(fields, dict):
        return facts
    name, fields = renamed(name, fields)
    return {**facts, "model": name, "config": fields}


MODEL_FORMATS = Formats({1: _with_checksum, 2: _with_originals})
