"""A checkpoint of another program in this package's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.models import MODELS
from nextframe.models.contract import Predictor

LIGHTNING = "model."  # what a Lightning module that keeps the model as `model` puts before each name


@dataclass(frozen=True)
class Translated:
    """A model of the registry, with weights that another program trained.

    `fields` are the model's config, `weights` its state dict, `dropped` the names of tensors that the original has and
    never uses.
    """

    model: str
    fields: dict[str, Any]
    weights: dict[str, Tensor]
    dropped: tuple[str, ...] = ()


Translate = Callable[[Mapping[str, Tensor], Mapping[str, Any]], Translated]
"""From a state dict of the original and its settings as plain values, such as {"num_hidden": "128,128"}.

What the user says of the config (`--set model.FIELD=VALUE`) stands among the settings, by the name of our field; it
takes precedence over what was inferred in any case. What fits no such model is a UserError.
"""


def bare(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return `state` without what a Lightning module puts before each name."""
    if all(name.startswith(LIGHTNING) for name in state):
        return {name.removeprefix(LIGHTNING): value for name, value in state.items()}
    return dict(state)


def needed(state: Mapping[str, Tensor], name: str) -> Tensor:
    """Return tensor `name` of `state`.

    Raises:
        UserError: there is none.
    """
    if name not in state:
        raise UserError(f"it has no tensor '{name}'")
    return state[name]


def fitted(translated: Translated) -> Predictor:
    """Return the model with its weights.

    Raises:
        UserError: a field that the model does not have, or weights that are not exactly its own; the line names one.
    """
    kind: type[Predictor] = MODELS.get(translated.model)
    with torch.device("meta"):  # shapes alone
        expected = kind(kind.Config.parse(translated.fields, f"model '{translated.model}'")).state_dict()
    for name in (*expected, *translated.weights):
        if name not in translated.weights:
            raise UserError(f"it lacks what would be '{name}' of {translated.model}")
        if name not in expected:
            raise UserError(f"it has what would be '{name}', which this {translated.model} has not")
        ours, theirs = tuple(expected[name].shape), tuple(translated.weights[name].shape)
        if ours != theirs:
            raise UserError(f"'{name}' would be {theirs}, and this {translated.model} has {ours}")
    model = kind(kind.Config.parse(translated.fields))
    model.load_state_dict(translated.weights)
    return model.eval()
