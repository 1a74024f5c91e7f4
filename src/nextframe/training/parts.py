"""Parts of a model taken from another run, so that their stages are not trained again."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from torch import Tensor, nn

from nextframe.checkpoint import load
from nextframe.core.errors import UnknownNameError, UserError
from nextframe.models.contract import Predictor, Stage


def left_to_train(stages: Sequence[Stage], taken: Mapping[str, str]) -> list[Stage]:
    """Return the stages whose part, or a part around it, is not `taken` from elsewhere."""
    return [stage for stage in stages if not any(_inside(stage.part, part) for part in taken)]


def take_parts(model: Predictor, taken: Mapping[str, str]) -> None:
    """Copy the weights of parts of `model` from other runs or models that ship: {part: run folder or name}.

    A run gives its whole model if that is of the part's kind, else its own part of that name. A part is what a stage
    trains, or a model within the model. Its weights get no gradients from then on.

    Raises:
        UserError: the model has no such part, the run has nothing of that kind, or its settings differ.
    """
    parts = {part for stage in model.stages() for part in _with_parents(stage.part)}
    parts |= {name for name, part in model.named_modules() if name and isinstance(part, Predictor)}
    for part, run in taken.items():
        if part not in parts:
            raise UnknownNameError("part", part, parts)
        target, source = model.get_submodule(part), load(run)
        found = source if type(source) is type(target) else _submodule(source, part)
        if type(found) is not type(target):
            raise UserError(f"{run} has no {type(target).__name__} to take as '{part}': it is a {_kind(source)}")
        _check_settings(target, found, part, run)
        target.load_state_dict(found.state_dict())
        target.requires_grad_(False)
        if isinstance(target, Predictor):
            target.trained = source.trained  # of which `sources` says what the whole model will have seen


def take_weights(model: Predictor, run: str | None) -> None:
    """Start `model` from all weights of another run or of a model that ships; None: do not.

    What it was trained for is then that of those weights, until this training is stored. A part that only the model
    has, by a field that is 0 in the run (`Predictor.added`), starts untrained; one that only the run has is not taken.

    Raises:
        UserError: the run holds another model, or one with other settings.
    """
    if run is None:
        return
    source = load(run)
    if type(source) is not type(model):
        raise UserError(f"{run} is a {_kind(source)}: a {_kind(model)} cannot start from its weights")
    apart = {name: part for name, part in model.added.items() if _has(model, name) != _has(source, name)}
    _check_settings(model, source, "whole", run, apart)
    untrained, _ = _parted(model.state_dict(), apart.values())
    _, trained = _parted(source.state_dict(), apart.values())
    model.load_state_dict({**untrained, **trained})
    model.trained = source.trained


def _has(model: Predictor, field: str) -> bool:
    return bool(getattr(model.config, field))


def _parted(weights: Mapping[str, Tensor], parts: Collection[str]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights of `parts`, and all others."""
    within = {name: value for name, value in weights.items() if any(_inside(name, part) for part in parts)}
    return within, {name: value for name, value in weights.items() if name not in within}


def _inside(part: str, outer: str) -> bool:
    return part == outer or part.startswith(f"{outer}.")


def _with_parents(part: str) -> list[str]:
    words = part.split(".") if part else []
    return [".".join(words[:count]) for count in range(1, len(words) + 1)]


def _submodule(model: Predictor, part: str) -> nn.Module | None:
    try:
        return model.get_submodule(part)
    except AttributeError:
        return None


def _check_settings(target: nn.Module, found: nn.Module, part: str, run: str, free: Collection[str] = ()) -> None:
    if not (isinstance(target, Predictor) and isinstance(found, Predictor)):
        return  # load_state_dict compares names and shapes
    for name in type(target.config).model_fields:  # not what is stored, where a field that says nothing is missing
        wanted, has = getattr(target.config, name), getattr(found.config, name)
        if name not in free and name not in _without_effect(target) and has != wanted:
            raise UserError(f"{run}: its '{name}' is {has!r}, this model's {part} has {wanted!r}: set it alike")


def _without_effect(model: Predictor) -> set[str]:
    """Return the settings that weights do not depend on: the loss's, frames per step, the context if any is taken."""
    context = {"context"} if model.capabilities.max_context is None else set()
    return {"frames", *context, *model.loss_fields}


def _kind(model: Predictor) -> str:
    return type(model).__name__
