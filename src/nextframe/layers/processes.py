"""Sums and means over all processes of a training run that gradients pass through."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def process_count() -> int:
    """Return how many processes train together; 1 if torch.distributed is not in use."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of every process's `values`, the same on all of them.

    Every process must call it, in the same order, with tensors of the same shape and dtype. Backward adds up the
    gradients of all processes' losses, so it must run on all of them too.
    """
    return _Sum.apply(values) if process_count() > 1 else values  # type: ignore[no-untyped-call]


def mean_over_processes(mean: Tensor, count: int) -> Tensor:
    """Return the mean over all processes' items from this one's `mean`, of any shape, over its `count` items.

    Differentiable; to be called like `sum_over_processes`. With one process it is `mean` itself.
    """
    if process_count() == 1:
        return mean
    totals = sum_over_processes(torch.stack([mean * count, torch.full_like(mean, count)]))
    return totals[0] / totals[1]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return sum_over_processes(gradients[0])
