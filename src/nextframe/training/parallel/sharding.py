"""Weights spread over several GPUs (FSDP2): whole only while a loss is computed, or inside `whole`.

Checkpoints and models are whole: the same as those of one process, and read back by any number of them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from nextframe.core.errors import UserError
from nextframe.models.contract import Predictor, Stage, StageLoss
from nextframe.training.recipe import TrainingConfig

ELEMENTWISE = {"adam", "adamw", "sgd"}  # optimisers that need no more of a weight than the part that a process has


def shard(loss: StageLoss, stages: list[Stage], config: TrainingConfig) -> None:
    """Spread the weights inside `loss` over all processes; they become other parameters, so optimisers come later.

    Raises:
        UserError: an optimiser of `stages` needs whole matrices.
    """
    for objective in (objective for stage in stages for objective in stage.objectives):
        name = config.optimizer or objective.optimizer.name
        if name not in ELEMENTWISE:
            raise UserError(
                f"training.strategy=fsdp does not go with the optimizer {name}: set training.optimizer=adamw"
            )
    from torch.distributed.device_mesh import init_device_mesh  # half a second, for those who need it
    from torch.distributed.fsdp import fully_shard

    for parameter in loss.parameters():
        parameter.data = parameter.data.contiguous()  # rows are what is shared out
    device = next(loss.parameters()).device.type
    fully_shard(loss, mesh=init_device_mesh(device, (dist.get_world_size(),)))


@contextmanager
def whole(loss: StageLoss) -> Iterator[None]:
    """Put whole weights into the model of `loss` for the block, if they are spread: any method may be called."""
    spread: Any = loss
    if not hasattr(spread, "unshard"):
        yield
        return
    spread.unshard()
    try:
        yield
    finally:
        spread.reshard()


def gathered(model: Predictor) -> Predictor:
    """Return `model`, or if its weights are spread a whole copy; every process calls it."""
    if not any(_is_spread(value) for value in model.parameters()):
        return model
    # copied with whole weights in the place of the spread ones: code and arguments of a module may be in no config
    whole = {id(p): nn.Parameter(full(p.detach()), p.requires_grad) for p in model.parameters()}
    return copy.deepcopy(model, whole).cpu()


def full(state: Any) -> Any:
    """Return nested mappings and lists with spread tensors made whole, on the processor; every process calls it."""
    if _is_spread(state):
        return state.full_tensor().cpu()
    if isinstance(state, Mapping):
        return {name: full(value) for name, value in state.items()}
    return [full(value) for value in state] if isinstance(state, list) else state


def like(values: Mapping[str, Tensor], model: Predictor) -> dict[str, Tensor]:
    """Return whole `values` of a state dict where the weights of `model` are, and spread as they are."""
    return {name: _like(value, values[name]) for name, value in model.state_dict().items()}


def spread_state(optimizer: torch.optim.Optimizer) -> None:
    """Spread whole tensors in the state of `optimizer` as its parameters are."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                state[name] = _like(parameter, value)


def _like(example: Any, value: Tensor) -> Tensor:
    value = value.to(example.device)  # a checkpoint is read on the processor
    if not _is_spread(example) or _is_spread(value):
        return value
    from torch.distributed.tensor import distribute_tensor

    return cast(Tensor, distribute_tensor(value, example.device_mesh, example.placements))


def _is_spread(value: Any) -> bool:
    return isinstance(value, Tensor) and hasattr(value, "full_tensor")
