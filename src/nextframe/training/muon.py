"""Muon: momentum whose matrices are made orthogonal, for few steps on a small budget; AdamW for all else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

QUINTIC = (3.4445, -4.7750, 2.0315)  # Jordan's coefficients: singular values reach about 0.7 to 1.2 in five rounds


class Muon(torch.optim.Optimizer):
    """Muon on matrices (2-D parameters of at least 2x2), AdamW on the rest, as one optimiser.

    A matrix moves by lr * sqrt(its longer side) * orthogonalised momentum: each entry by about lr, as in AdamW, so
    one rate serves both. Matrices of one shape are stepped in one batched call: small models are bound by calls.
    After Muon (Jordan et al. 2024) with the scale of Moonlight (Liu et al. 2025). torch.optim.Muon takes matrices only
    and computes in bf16, which is slow where the hardware has none.
    """

    def __init__(
        self,
        params: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        lr: float,
        *,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "betas": betas, "weight_decay": weight_decay, "eps": 1e-8}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Move every parameter that has a gradient; `closure`, if given, is called first and its loss returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if not moved:
                continue
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
            self._step_matrices([p for p in moved if is_matrix(p)], group)
            self._step_rest([p for p in moved if not is_matrix(p)], group)
        return loss

    def _step_matrices(self, matrices: list[nn.Parameter], group: dict[str, Any]) -> None:
        by_shape: dict[torch.Size, list[Tensor]] = {}
        for matrix in matrices:
            by_shape.setdefault(matrix.shape, []).append(matrix)
        for shape, same in by_shape.items():
            directions = orthogonalize(torch.stack([self._momentum(p, group["momentum"]) for p in same]))
            torch._foreach_add_(same, list(directions.unbind(0)), alpha=-group["lr"] * max(shape) ** 0.5)

    def _momentum(self, parameter: Tensor, momentum: float) -> Tensor:
        """Take in the gradient; return Nesterov's look-ahead of the momentum."""
        assert parameter.grad is not None
        average = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
        average.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum)

    def _step_rest(self, others: list[nn.Parameter], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        for parameter in others:
            assert parameter.grad is not None
            state = self.state[parameter]
            mean = state.setdefault("mean", torch.zeros_like(parameter))
            square = state.setdefault("square", torch.zeros_like(parameter))
            state["step"] = step = state.get("step", 0) + 1
            mean.lerp_(parameter.grad, 1 - first)
            square.mul_(second).addcmul_(parameter.grad, parameter.grad, value=1 - second)
            scale = (square / (1 - second**step)).sqrt_().add_(group["eps"])
            parameter.addcdiv_(mean, scale, value=-group["lr"] / (1 - first**step))


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon steps `parameter`: a matrix that is no row or column."""
    return parameter.ndim == 2 and min(parameter.shape) > 1


def orthogonalize(matrices: Tensor, rounds: int = 5) -> Tensor:
    """Return matrices (N, R, C) with their singular vectors kept and their singular values brought near 1.

    Newton-Schulz iteration with a quintic that reaches about 1, not exactly; a zero matrix stays zero.
    """
    a, b, c = QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + torch.baddbmm(b * gram, gram, gram, alpha=c) @ x
    return x.mT if tall else x
