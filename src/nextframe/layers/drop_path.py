"""Stochastic depth: a residual branch is skipped for some sequences while training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nextframe.core.seeds.noise import uniform


class DropPath(nn.Module):
    """Zeroes whole items of a batch with chance `rate` in training and scales the others, so that the mean stays.

    After Huang et al. 2016, arXiv 1603.09382.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Return `branch` (N, ...), N a multiple of the batch, clip by clip; unchanged in eval mode."""
        if not self.training or not self.rate:
            return branch
        drawn = uniform((len(branch), *(1 for _ in branch.shape[1:])), branch.device)
        return torch.where(drawn < self.rate, 0.0, branch / (1 - self.rate))
