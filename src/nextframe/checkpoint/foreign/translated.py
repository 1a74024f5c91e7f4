"""A checkpoint of another program in this package's terms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nextframe.core.errors import UserError, cut, shown
from nextframe.models import MODELS
from nextframe.models.contract import Predictor


@dataclass(frozen=True)
class Translated:
    """A model of the registry, with weights that another program trained.

    `fields` are the model's config, `weights` its state dict, `dropped` the names of tensors that the original has and
    never uses, `assumed` the fields among `fields` that the checkpoint does not say.
    """

    model: str
    fields: dict[str, Any]
    weights: dict[str, Tensor]
    dropped: tuple[str, ...] = ()
    assumed: Mapping[str, Any] = field(default_factory=dict)


Translate = Callable[[Mapping[str, Tensor], Mapping[str, Any]], Translated]
"""From a state dict of the original and its settings as plain values, such as {"num_hidden": "128,128"}.

What a user says of our config stands among the settings too, by the name of our field.
"""


def without_prefix(state: Mapping[str, Tensor], prefix: str = "model.") -> dict[str, Tensor]:
    """Return `state` without the prefix that a Lightning module gives to the names of its model's tensors."""
    return {name.removeprefix(prefix): value for name, value in state.items()}


class Original:
    """The tensors of an original's state dict: each has to be taken or dropped, and `rest` says what is left over.

    `take`, `drop` and `rest` raise UserError where the state is of another model than `kind`.
    """

    def __init__(self, kind: str, state: Mapping[str, Tensor], settings: Mapping[str, Any]) -> None:
        self.kind, self.left, self.settings = kind, without_prefix(state), settings
        self.dropped: list[str] = []

    def shape(self, name: str, length: int) -> tuple[int, ...]:
        """Return the shape of tensor `name`, which has `length` axes."""
        if name not in self.left or self.left[name].ndim != length:
            raise self.foreign(f"there is no tensor '{name}' of {length} axes")
        return tuple(self.left[name].shape)

    def count(self, pattern: str) -> int:
        """Return how many tensors there are whose names are `pattern` with 0, 1, 2 ... in the place of {}."""
        number = 0
        while pattern.format(number) in self.left:
            number += 1
        return number

    def take(self, name: str) -> Tensor:
        """Return tensor `name`, which is then gone."""
        if name not in self.left:
            raise self.foreign(f"there is no tensor '{name}'")
        return self.left.pop(name)

    def drop(self, *names: str) -> None:
        """Omit tensors that the original never uses."""
        for name in names:
            self.take(name)
        self.dropped += names

    def rest(self) -> tuple[str, ...]:
        """Return the names of what was dropped, after everything else has been taken."""
        if self.left:
            raise self.foreign(f"it has a tensor '{cut(next(iter(self.left)))}'")
        return tuple(self.dropped)

    def setting(self, name: str) -> Any:
        """Return the original's setting `name`, which no tensor tells."""
        if name not in self.settings:
            raise UserError(
                f"the checkpoint does not say its '{name}', which {self.kind} cannot be read without: "
                f"--set settings.{name}=VALUE"
            )
        return self.settings[name]

    def whole(self, name: str) -> int:
        """Return the original's setting `name`, which is a whole number from 1 on."""
        value = self.setting(name)
        if not isinstance(value, int) or value < 1:
            raise UserError(f"the '{name}' of {self.kind} is a whole number from 1 on, not {shown(value)}")
        return value

    def patched(self, folded: int) -> dict[str, int]:
        """Return the fields `channels` and `patch` of a model whose folded frames have `folded` channels."""
        patch = self.whole("patch_size")
        if folded % patch**2:
            raise self.foreign(f"{folded} channels do not make a frame in patches of {patch}")
        return {"channels": folded // patch**2, "patch": patch}

    def convolution(self, theirs: str, ours: str) -> dict[str, Tensor]:
        """Take a convolution, with its layer norm if it has one, by our names."""
        return {f"{ours}.{part}": self.take(f"{theirs}.{part}") for part in self.parts(theirs)}

    def parts(self, theirs: str) -> tuple[str, ...]:
        """Return how the tensors of a convolution end, and those of its layer norm if it has one."""
        return ("0.weight", "1.weight", "1.bias") if f"{theirs}.1.weight" in self.left else ("0.weight",)

    def foreign(self, why: str) -> UserError:
        """Return the error that these are not the weights of this kind of model."""
        return UserError(f"these are not the weights of {self.kind}: {why}")


def new_count() -> dict[str, Tensor]:
    """Return what our recurrent models store beside weights: how many steps they were trained for, none here."""
    return {"sampling.steps": torch.zeros((), dtype=torch.long)}


def fitted(translated: Translated) -> Predictor:
    """Return the model with its weights.

    Raises:
        UserError: a field that the model does not have, or weights that are not exactly its own; the line names one.
    """
    kind: type[Predictor] = MODELS.get(translated.model)
    config = kind.Config.parse(translated.fields, f"model '{translated.model}'")
    with torch.device("meta"):  # shapes alone
        expected = kind(config).state_dict()
    for name in (*expected, *translated.weights):
        if name not in translated.weights:
            raise UserError(f"it lacks what would be '{name}' of {translated.model}")
        if name not in expected:
            raise UserError(f"it has what would be '{name}', which this {translated.model} has not")
        ours, theirs = tuple(expected[name].shape), tuple(translated.weights[name].shape)
        if ours != theirs:
            raise UserError(f"'{name}' would be {theirs}, and this {translated.model} has {ours}")
    model = kind(config)
    model.load_state_dict(translated.weights)
    return model.eval()
