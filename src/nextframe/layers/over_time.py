"""Activation checkpointing over time: what a step of a recurrence needs backwards is computed again, not kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from nextframe.core.errors import UserError
from nextframe.core.seeds.noise import repeatable

Given = ParamSpec("Given")
Found = TypeVar("Found")


class OverTime(nn.Module):
    """A module with a loop over frames, which calls what it does in each through `checked`."""

    checkpointed = False  # whether activations are computed again; set by `checkpoint_activations`

    @property
    def recomputes(self) -> bool:
        """Whether what is computed now is computed again backwards."""
        return self.checkpointed and torch.is_grad_enabled()

    def checked(self, function: Callable[Given, Found], *arguments: Given.args, **named: Given.kwargs) -> Found:
        """Return `function(*arguments)`; if checkpointed, only the arguments and results are kept for its gradient.

        The function draws the same noise again and must change nothing, such as running statistics. Chen et al. 2016,
        arXiv 1604.06174.
        """
        if not self.recomputes:
            return function(*arguments, **named)
        return cast(
            Found,
            checkpoint(function, *arguments, use_reentrant=False, context_fn=repeatable, **named),  # type: ignore[arg-type]
        )


def checkpoint_activations(model: nn.Module) -> None:
    """Let every loop over frames inside `model` compute its steps again backwards.

    Raises:
        UserError: there is none.
    """
    loops = [module for module in model.modules() if isinstance(module, OverTime)]
    if not loops:
        raise UserError(
            f"{type(model).__name__} has no loop over frames to checkpoint: omit training.checkpoint_activations; "
            "training.accumulate takes less memory too"
        )
    for module in loops:
        module.checkpointed = True
