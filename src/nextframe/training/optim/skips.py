"""Updates whose gradient is not finite: they leave the weights as they are, and are counted where the weights are."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from nextframe.training.folder.logs import not_finite

LOG = logging.getLogger(__name__)
PATIENCE = 10  # updates in a row without a finite gradient, then the run stops


def step_unless(optimizer: torch.optim.Optimizer, bad: Tensor) -> None:
    """Step `optimizer`, or with `bad` (a scalar on its device) at 1 instead of 0 change nothing.

    On a GPU the fused optimisers of torch, and ours that say so, look at `bad` there; for others it is read, which
    waits for the GPU.
    """
    if bad.device.type == "cuda" and getattr(optimizer, "_step_supports_amp_scaling", False):  # as GradScaler asks
        optimizer.found_inf = bad  # type: ignore[attr-defined]
        optimizer.step()
    elif not bool(bad):
        optimizer.step()


class Skips:
    """Counts skipped updates by objective, on the device."""

    def __init__(self) -> None:
        self._counts: dict[str, tuple[Tensor, Tensor, Tensor]] = {}  # since the last look; in a row; longest row

    def add(self, objective: str, bad: Tensor) -> None:
        """Count the newest update of `objective`, skipped if `bad` is 1 and not if it is 0."""
        zero = torch.zeros_like(bad)
        new, row, longest = self._counts.get(objective, (zero, zero, zero))
        row = (row + bad) * bad
        self._counts[objective] = new + bad, row, torch.maximum(longest, row)

    def look(self, step: int) -> None:
        """Warn of updates that were skipped since the last look, up to step `step`.

        Raises:
            NextframeError: there were `PATIENCE` of them in a row.
        """
        for objective, (new, row, longest) in self._counts.items():
            if float(longest) >= PATIENCE:
                raise not_finite(f"the gradient of {objective}", step)
            if count := int(new):
                each = "this update is" if count == 1 else f"{count} updates are"
                LOG.warning("step %d: the gradient of %s is not finite: %s skipped", step, objective, each)
                self._counts[objective] = torch.zeros_like(new), row, longest
