"""Muon for matrices with AdamW for everything else, as one optimiser."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

REST = 0.2  # AdamW's rate for the other parameters, as a part of Muon's
MOMENTUM = 0.95
QUINTIC = (3.4445, -4.7750, 2.0315)  # coefficients of the iteration, from Jordan et al.
ITERATIONS = 5
LONG = 4  # times as many columns as rows, from which on the iteration is cheaper on squares


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal, its size scaled to AdamW's; a kernel is a matrix, a row an output.

    Jordan et al. 2024 (kellerjordan.github.io/posts/muon); the scaling, 0.2 sqrt(max(rows, columns)), is that of Liu
    et al. 2025, arXiv 2502.16982. torch.optim.Muon computes the same in bfloat16, matrix by matrix; on a processor
    without bfloat16 that took half of a training step. Here equal shapes are stacked, on a processor in their own
    precision.
    """

    def __init__(self, matrices: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every matrix that has a gradient; none if the tensor `found_inf`, once set, is 1."""
        bad: Tensor | None = getattr(self, "found_inf", None)
        for group in self.param_groups:
            alike: dict[torch.Size, list[Tensor]] = defaultdict(list)
            for matrix in group["params"]:
                if matrix.grad is not None:
                    alike[matrix.flatten(1).shape].append(matrix)
            for matrices in alike.values():
                self._update(matrices, group["lr"], group["weight_decay"], bad)

    def _update(self, matrices: list[Tensor], lr: float, decay: float, bad: Tensor | None) -> None:
        """Step matrices of the same shape together: a GPU is done with a small one before the next is asked for."""
        steps = orthogonalise(torch.stack([step.flatten(1) for step in self._nesterov(matrices, bad)]))
        if bad is None:
            torch._foreach_mul_(matrices, 1 - lr * decay)
        else:
            left_out = bad > 0
            torch._foreach_mul_(matrices, torch.where(left_out, 1.0, 1 - lr * decay))
            steps = torch.where(left_out, 0.0, steps)
        size = lr * 0.2 * max(steps.shape[1:]) ** 0.5
        torch._foreach_sub_(matrices, [step.view_as(m) for m, step in zip(matrices, steps, strict=True)], alpha=size)

    def _nesterov(self, matrices: list[Tensor], bad: Tensor | None) -> list[Tensor]:
        gradients = [matrix.grad for matrix in matrices if matrix.grad is not None]
        momenta = [self._momentum(matrix) for matrix in matrices]
        if bad is not None:  # a mean with itself leaves the momentum as it is
            left_out = bad > 0
            gradients = [torch.where(left_out, m, g) for m, g in zip(momenta, gradients, strict=True)]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        return [gradient.lerp(momentum, MOMENTUM) for gradient, momentum in zip(gradients, momenta, strict=True)]

    def _momentum(self, matrix: Tensor) -> Tensor:
        state = self.state[matrix]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(matrix)
        momentum: Tensor = state["momentum"]
        return momentum


def orthogonalise(matrices: Tensor) -> Tensor:
    """Return (N, rows, columns) with every singular value brought near 1 (0.7 to 1.2), by Newton-Schulz iteration."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    if x.is_cuda:
        x = iterated_in_bfloat16(x)
    else:
        x = iterated_on_squares(x) if x.shape[2] >= LONG * x.shape[1] else iterated(x)
    result: Tensor = x.mT if tall else x
    return result


def iterated(x: Tensor) -> Tensor:
    """Return the result of the iteration of (N, rows, columns), singular values at most 1."""
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x


def iterated_on_squares(x: Tensor) -> Tensor:
    """Return the same as `iterated`, from products of (rows, rows) alone: less than half of the work for long rows.

    Every step multiplies x by a polynomial p of x x^T from the left, and x x^T becomes p (x x^T) p: all commute.
    """
    a, b, c = QUINTIC
    one = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    square, product = x @ x.mT, one
    for _ in range(ITERATIONS):
        step = a * one + b * square + c * square @ square
        product, square = step @ product, step @ square @ step
    return product @ x


def iterated_in_bfloat16(x: Tensor) -> Tensor:
    """Return the same as `iterated` to two digits, as Jordan et al. do: for a GPU, a call for each product."""
    a, b, c = QUINTIC
    y = x.bfloat16()
    for _ in range(ITERATIONS):
        square = y @ y.mT
        step = torch.baddbmm(square, square, square, beta=b, alpha=c)
        y = torch.baddbmm(y, step, y, beta=a)
    return y.to(x.dtype)


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon for 2-D weights, AdamW at `REST` of the rate for the rest: biases and norms are not linear maps.

    With `kernels`, Muon has the dense kernels of convolutions too; one of a depthwise convolution stays with AdamW.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        lr: float,
        weight_decay: float,
        betas: tuple[float, float],
        kernels: bool = False,
    ) -> None:
        matrices = [p for p in parameters if p.ndim == 2 or (kernels and p.ndim == 4 and p.shape[1] > 1)]
        taken = {id(p) for p in matrices}
        others = [p for p in parameters if id(p) not in taken]
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            self.parts.append(Muon(matrices, lr, weight_decay))
        if others:
            self.parts.append(torch.optim.AdamW(others, lr=REST * lr, betas=betas, weight_decay=0.0, fused=True))
        super().__init__(parameters, {})
        self._step_supports_amp_scaling = True  # as torch's fused optimisers say that they look at `found_inf`
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient; none if the tensor `found_inf`, once set, is 1."""
        for part in self.parts:
            part.found_inf = getattr(self, "found_inf", None)  # type: ignore[attr-defined]
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of both parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]
