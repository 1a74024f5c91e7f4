"""The formats of a model folder's config.json."""

from __future__ import annotations

from typing import Any

from nextframe.core.formats import Formats


def _with_checksum(facts: dict[str, Any]) -> dict[str, Any]:
    """Format 2 has the checksum of the weights; None: not known."""
    return {**facts, "weights_sha256": None}


MODEL_FORMATS = Formats({1: _with_checksum})
