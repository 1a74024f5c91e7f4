"""The formats of a model folder's config.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nextframe.checkpoint.renames import renamed
from nextframe.core.files.formats import Formats

WITH_DENSE_BIASES = ("cae", "deconv", "vae-on-features")


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


def _with_dense_biases(facts: dict[str, Any]) -> dict[str, Any]:
    """In format 4 the decoder of a `cae` shares biases where a dense layer reads maps; each number had its own."""
    name, fields = facts.get("model"), facts.get("config")
    if not isinstance(name, str) or not isinstance(fields, dict):
        return facts
    return {**facts, "config": _own_biases(name, fields)}


def _own_biases(name: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of model `name` and of those inside it, with a bias for each number."""
    values = {key: _own_biases_inside(value) for key, value in fields.items()}
    return {"dense_biases": "number", **values} if name in WITH_DENSE_BIASES else values


def _own_biases_inside(value: Any) -> Any:
    if isinstance(value, list):
        return [_own_biases_inside(part) for part in value]
    if isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("fields"), dict):
        return {**value, "fields": _own_biases(value["name"], value["fields"])}
    return value


MODEL_FORMATS = Formats({1: _with_checksum, 2: _with_originals, 3: _with_dense_biases})
