"""Optimisers of objectives: the recipe's settings take precedence over the model's defaults."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nextframe.core.errors import UserError
from nextframe.core.registry import Registry, takes
from nextframe.models.contract import Objective, OptimizerDefaults
from nextframe.training.optim.clipped_sgd import ClippedSGD
from nextframe.training.optim.keras_adam import KerasAdam
from nextframe.training.optim.muon import MuonWithAdamW

if TYPE_CHECKING:
    from nextframe.training.recipe import TrainingConfig

Parameters = list[nn.Parameter]
Builder = Callable[[Parameters, float, float, OptimizerDefaults], torch.optim.Optimizer]
OPTIMIZERS: Registry[Builder] = Registry(
    "optimizer",
    "nextframe.optimizers",
    "a function of (parameters, rate, weight decay, defaults) that returns a torch optimizer",
    lambda name, thing: takes(thing, 4),
)


def build_optimizer(objective: Objective, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimiser of `objective`, fields of `config` first, then the objective's own defaults.

    Raises:
        UserError: no such optimiser, or a registered one that returns something else.
    """
    wants = objective.optimizer
    name = config.optimizer or wants.name
    lr = config.lr if config.lr is not None else wants.lr
    decay = config.weight_decay if config.weight_decay is not None else wants.weight_decay
    built = OPTIMIZERS.get(name)(objective.parameters, lr, decay, wants)
    if not isinstance(built, torch.optim.Optimizer):
        raise UserError(f"optimizer '{name}' returned {type(built).__name__}, which is not a torch optimizer")
    return built


def decay_groups(parameters: Parameters, decay: float) -> list[dict[str, Any]]:
    """Return the groups of an optimiser: decay acts on matrices and kernels, not on biases and norms (1-D)."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def adamw(parameters: Parameters, lr: float, decay: float, wants: OptimizerDefaults) -> torch.optim.Optimizer:
    """Return AdamW (Loshchilov & Hutter 2019): the decay is separate from the gradient step."""
    return torch.optim.AdamW(decay_groups(parameters, decay), lr=lr, betas=wants.betas, fused=True)


def adam(parameters: Parameters, lr: float, decay: float, wants: OptimizerDefaults) -> torch.optim.Optimizer:
    """Return Adam (Kingma & Ba 2015): the decay is added to the gradient."""
    return torch.optim.Adam(decay_groups(parameters, decay), lr=lr, betas=wants.betas, fused=True)


def keras_adam(parameters: Parameters, lr: float, decay: float, wants: OptimizerDefaults) -> torch.optim.Optimizer:
    """Return `KerasAdam`: Adam with the epsilon of Keras, where Keras adds it."""
    return KerasAdam(decay_groups(parameters, decay), lr, wants.betas)


def adadelta(parameters: Parameters, lr: float, decay: float, wants: OptimizerDefaults) -> torch.optim.Optimizer:
    """Return Adadelta (Zeiler 2012) with the constants of Keras: rho 0.95, and an epsilon of 1e-7 under both roots."""
    return torch.optim.Adadelta(decay_groups(parameters, decay), lr=lr, rho=0.95, eps=1e-7)


def sgd(parameters: Parameters, lr: float, decay: float, wants: OptimizerDefaults) -> torch.optim.Optimizer:
    """Return stochastic gradient descent, with the objective's momentum."""
    return torch.optim.SGD(decay_groups(parameters, decay), lr=lr, momentum=wants.momentum)


def clipped_sgd(parameters: Parameters, lr: float, decay: float, wants: OptimizerDefaults) -> torch.optim.Optimizer:
    """Return `ClippedSGD`."""
    return ClippedSGD(decay_groups(parameters, decay), lr=lr)


def muon(parameters: Parameters, lr: float, decay: float, wants: OptimizerDefaults) -> torch.optim.Optimizer:
    """Return `MuonWithAdamW`, which itself decays matrices only."""
    return MuonWithAdamW(parameters, lr, decay, wants.betas)


def muon_kernels(parameters: Parameters, lr: float, decay: float, wants: OptimizerDefaults) -> torch.optim.Optimizer:
    """Return `MuonWithAdamW` with the kernels of convolutions among its matrices."""
    return MuonWithAdamW(parameters, lr, decay, wants.betas, kernels=True)


_BUILT_IN: dict[str, Builder] = {
    "adamw": adamw,
    "adam": adam,
    "keras-adam": keras_adam,
    "adadelta": adadelta,
    "sgd": sgd,
    "muon": muon,
    "muon-kernels": muon_kernels,
    "clipped-sgd": clipped_sgd,
}
for _name, _builder in _BUILT_IN.items():
    OPTIMIZERS.add(_name, _builder)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Multiply the optimiser's initial rates by `factor`; return the first group's rate."""
    for group in optimizer.param_groups:
        initial = group.setdefault("initial_lr", group["lr"])
        group["lr"] = initial * factor
    return float(optimizer.param_groups[0]["lr"])


def gradient_norm(parameters: list[nn.Parameter], limit: float | None) -> Tensor:
    """Return the global norm of the gradients; if there is a `limit`, scale them down to it."""
    if limit is not None:
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
    else:
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
    whole: Tensor = norm.full_tensor() if hasattr(norm, "full_tensor") else norm  # of spread weights
    return whole


class Average:
    """An exponential moving average of a model's weights, started from the first update (no bias to the init)."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take in the model's newest weights; the decay warms up as (1 + n) / (10 + n), as in TensorFlow's EMA."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        values = model.state_dict()
        means = [name for name, value in values.items() if value.is_floating_point()]
        for kind in {type(values[name]) for name in means}:  # one kind at a time, in one call: spread weights, others
            names = [name for name in means if type(values[name]) is kind]
            old, new = [self.weights[name] for name in names], [values[name].detach() for name in names]
            torch._foreach_lerp_(old, new, 1 - decay)
        for name in values.keys() - set(means):
            self.weights[name].copy_(values[name])
