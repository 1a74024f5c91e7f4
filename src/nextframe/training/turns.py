"""The objectives of a stage take turns in each step: each has its loss as a module, its optimiser, and what rests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.core.files.cache import keep_compiled
from nextframe.core.seeds.noise import keep_out_of_graphs
from nextframe.models.contract import Objective, Stage, StageLoss
from nextframe.training.optim.optimizer import build_optimizer
from nextframe.training.recipe import TrainingConfig


@dataclass(frozen=True)
class Turn:
    """One objective's part of a step. `loss(number, clip)` is its loss, wrapped for several processes or compiled."""

    number: int
    objective: Objective
    loss: nn.Module
    optimizer: torch.optim.Optimizer
    resting: list[nn.Parameter]


def build_turns(loss: StageLoss, stages: list[Stage], index: int, config: TrainingConfig, fabric: Any) -> list[Turn]:
    """Return the turns of stage `index`; every process calls it at the same place.

    Args:
        loss: the losses of all `stages` in their order.
        stages: those of the run.
        index: the stage that begins.
        config: the optimisers, and how losses are wrapped.
        fabric: the launched processes.
    """
    first = sum(len(stage.objectives) for stage in stages[:index])
    return [
        _turn(loss, first + place, objective, config, fabric)
        for place, objective in enumerate(stages[index].objectives)
    ]


def _turn(loss: StageLoss, number: int, objective: Objective, config: TrainingConfig, fabric: Any) -> Turn:
    own = {id(parameter) for parameter in objective.parameters}
    others = [p for p in loss.parameters() if p.requires_grad and id(p) not in own]
    wrapped: nn.Module = loss
    if config.strategy != "fsdp":  # which has spread the weights of all objectives before
        with at_rest(others):  # the strategy averages the parameters that have a gradient when it wraps
            wrapped = fabric.strategy.setup_module(loss)
    if config.compile:
        wrapped = compiled(wrapped, graphs=config.compile == "graphs")
    return Turn(number, objective, wrapped, build_optimizer(objective, config), others)


def compiled(loss: nn.Module, graphs: bool = False) -> nn.Module:
    """Return `loss` compiled on its first call, for batches that are alike in shape.

    Args:
        loss: takes an objective's number and a clip, returns a loss and what is logged.
        graphs: leave its kernels as they are and record their launches as CUDA graphs: small kernels wait for them.
    """
    keep_out_of_graphs()
    keep_compiled()
    if graphs:
        return Recorded(torch.compile(loss, dynamic=False, backend="cudagraphs"))
    return torch.compile(loss, dynamic=False)  # type: ignore[return-value]


class Recorded(nn.Module):
    """A loss whose kernels are launched as CUDA graphs. It returns copies: the next call writes over a graph's own."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, number: int, clip: Clip) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of objective `number`, and what is logged."""
        torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        loss, logs = self.loss(number, clip)
        return loss.clone(), {name: value.clone() for name, value in logs.items()}


@contextmanager
def at_rest(parameters: list[nn.Parameter]) -> Iterator[None]:
    """Let `parameters`, which have gradients, have none inside the block."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


def parted(clip: Clip, parts: int) -> Iterator[Clip]:
    """Yield a batch in so many equal parts; one part is the batch itself."""
    size = len(clip) // parts
    for first in range(0, len(clip), size):
        yield clip if parts == 1 else clip[first : first + size]


def mean_of_parts(found: list[tuple[Tensor, dict[str, Tensor]]]) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the means of what equal parts of a batch have as (loss, values to log): those of the whole batch."""
    if len(found) == 1:
        return found[0]
    losses, logs = zip(*found, strict=True)
    return torch.stack(losses).mean(), {name: torch.stack([log[name] for log in logs]).mean() for name in logs[0]}


@contextmanager
def averaged_over_processes(loss: nn.Module, now: bool) -> Iterator[None]:
    """Let processes send gradients to one another in the block, or only add up their own: those of a later part will.

    Weights that are spread send theirs each time.
    """
    if now or not hasattr(loss, "no_sync"):
        yield
        return
    later: Any = loss
    with later.no_sync():
        yield


def check_all_used(model: nn.Module, objective: Objective) -> None:
    """Refuse a loss that leaves a parameter of its objective without a gradient: processes wait for all of them.

    Raises:
        UserError: which objective and which parameter.
    """
    idle = {id(parameter) for parameter in objective.parameters if parameter.requires_grad and parameter.grad is None}
    if idle:
        named = next((name for name, parameter in model.named_parameters() if id(parameter) in idle), "of its own")
        raise UserError(
            f"the loss of '{objective.name}' does not use its parameter '{named}': on several devices a loss must use "
            "all parameters of its objective"
        )
