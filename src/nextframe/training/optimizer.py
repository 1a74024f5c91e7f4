"""Optimisers of objectives: what the recipe says wins over what the model asks for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nextframe.models.contract import Objective
from nextframe.training.clipped_sgd import ClippedSGD
from nextframe.training.muon import MuonWithAdamW
from nextframe.training.recipe import TrainingConfig


def build_optimizer(objective: Objective, config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimiser of `objective`, fields of `config` first, then the objective's own defaults.

    Weight decay acts on matrices and kernels only, not on biases and norms (1-D parameters).
    """
    wants = objective.optimizer
    name = config.optimizer or wants.name
    lr = config.lr if config.lr is not None else wants.lr
    decay = config.weight_decay if config.weight_decay is not None else wants.weight_decay
    if name == "muon":
        return MuonWithAdamW(objective.parameters, lr, decay, wants.betas)
    groups = [
        {"params": [p for p in objective.parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in objective.parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=wants.momentum)
    if name == "clipped-sgd":
        return ClippedSGD(groups, lr=lr)
    kind = torch.optim.Adam if name == "adam" else torch.optim.AdamW
    return kind(groups, lr=lr, betas=wants.betas, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> float:
    """Multiply the optimiser's initial rates by `factor`; return the first group's rate."""
    for group in optimizer.param_groups:
        initial = group.setdefault("initial_lr", group["lr"])
        group["lr"] = initial * factor
    return float(optimizer.param_groups[0]["lr"])


def gradient_norm(parameters: list[nn.Parameter], limit: float | None) -> Tensor:
    """Return the global norm of the gradients; where there is a `limit`, scale them down to it."""
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
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.weights[name].lerp_(value.detach(), 1 - decay)
            else:
                self.weights[name].copy_(value)
