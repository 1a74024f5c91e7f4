"""Adam as Keras and TensorFlow compute it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

EPSILON = 1e-7  # Keras's, where torch and the paper have 1e-8


class KerasAdam(torch.optim.Adam):
    """Adam (Kingma & Ba 2015) whose epsilon is added before the second moment's bias is corrected ("epsilon hat").

    A step is lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + 1e-7), with m and v the uncorrected moments, in Keras 2
    and 3 alike. So in the first steps, and where gradients are tiny, its steps are smaller than torch's.
    """

    def __init__(self, params: Any, lr: float, betas: tuple[float, float]) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=EPSILON, fused=True)
        self._step_supports_amp_scaling = False  # a step that is skipped on the device would be counted here

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; steps are counted in the groups, which a checkpoint has."""
        for group in self.param_groups:
            group["taken"] = group.get("taken", 0) + 1
            group["eps"] = EPSILON / math.sqrt(1 - group["betas"][1] ** group["taken"])
        loss: float | None = super().step(closure)
        return loss
