"""TAU: SimVP with temporal attention units, and a loss that also compares how frames change."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from nextframe.models.simvp import SimVP, SimVPConfig

TINY = 1e-12


class TAUConfig(SimVPConfig):
    """Fields of `tau`: those of `simvp`, and the weight of the divergence."""

    translator: Literal["tau"] = Field("tau", description="temporal attention units")
    alpha: float = Field(0.1, ge=0, description="weight of the differential divergence in the loss")


class TAU(SimVP):
    """SimVP whose translator separates what is seen within frames from how moments are weighed.

    The loss has the mean squared error and `alpha` times the differential divergence.
    """

    Config = TAUConfig
    config: TAUConfig
    idea: ClassVar[str] = "SimVP with attention over space and over moments; changes between frames are scored too."
    when = "`simvp` with attention, of the same size: to compare with its paper."
    paper: ClassVar[str] = "Tan et al. 2023, Temporal Attention Unit, CVPR, arXiv 2206.12126"

    def score(self, future: Tensor, target: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the mean squared error of `future` (B, T, C, H, W) plus the weighted divergence."""
        error, logs = super().score(future, target)
        divergence = differential_divergence(future, target)
        return error + self.config.alpha * divergence, {**logs, "divergence": divergence.detach()}


def differential_divergence(future: Tensor, target: Tensor, temperature: float = 0.1) -> Tensor:
    """Return how far the changes between frames of `future` are from those of `target`, both (B, T, C, H, W).

    Each change becomes a distribution over its values by a softmax; theirs is the Kullback-Leibler divergence. As in
    the paper's code it is a mean over values where a divergence is a sum, and 0 for fewer than three frames.
    """
    if future.shape[1] <= 2:
        return future.new_zeros(())
    predicted, true = (torch.softmax(x.diff(dim=1).flatten(2) / temperature, dim=2) for x in (future, target))
    return (predicted * torch.log(predicted / (true + TINY) + TINY)).mean()
