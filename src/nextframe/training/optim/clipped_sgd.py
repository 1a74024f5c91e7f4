"""The stochastic gradient descent of Srivastava et al. 2015, which clips updates and not gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class ClippedSGD(torch.optim.Optimizer):
    """v <- momentum v - rate (g + decay w); every element of v is clipped to +-clip; w <- w + v.

    The rate is lr * fall ** floor(updates / fall_every): a staircase of updates, as the original has it, whatever the
    length of the run; a schedule of the recipe multiplies it. Followed: the authors' code for arXiv 1502.04681, whose
    gradients are sums over pixels, frames and clips.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter] | list[dict[str, object]],
        lr: float = 1e-4,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        clip: float = 1e-4,
        fall: float = 0.9,
        fall_every: int = 10_000,
    ) -> None:
        rules = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "clip": clip}
        super().__init__(parameters, {**rules, "fall": fall, "fall_every": fall_every})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["updates"], state["velocity"] = 0, torch.zeros_like(parameter)
                rate = group["lr"] * group["fall"] ** (state["updates"] // group["fall_every"])
                change = parameter.grad.add(parameter, alpha=group["weight_decay"])
                velocity = state["velocity"].mul_(group["momentum"]).sub_(change, alpha=rate)
                parameter.add_(velocity.clamp_(-group["clip"], group["clip"]))
                state["updates"] += 1
