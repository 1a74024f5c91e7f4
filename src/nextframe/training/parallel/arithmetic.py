"""What a run computes with, the same in all its processes: its precision and its kernels."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from nextframe.core.kernels import Choices, using
from nextframe.core.kernels.precision import bf16_pays
from nextframe.training.parallel.processes import Processes
from nextframe.training.recipe import TrainingConfig


class Arithmetic:
    """The precision and the kernels of a run on one device."""

    def __init__(self, config: TrainingConfig, device: torch.device, processes: Processes) -> None:
        self.device, self.processes, self.precision = device, processes, config.precision
        self.choices = Choices(races=config.kernels == "race", at_once=False)
        self.bf16 = config.precision == "bf16"

    def begin(self) -> AbstractContextManager[None]:
        """Decide the precision that was left open; return a block in which the run's kernels hold."""
        if self.precision == "auto":
            with using(self.choices):
                bf16_pays(self.device.type)
                self.settle()
                self.bf16 = self.processes.share(bf16_pays(self.device.type))
        return using(self.choices)

    def settle(self) -> None:
        """Let the first process race what was computed first since the last call; all of them call it, and take it."""
        self.choices.settle(self.processes.first, self.processes.share)

    def autocast(self) -> AbstractContextManager[object]:
        """Return a block that computes in the precision of the run."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.bf16 else nullcontext()

    def state_dict(self) -> dict[str, str]:
        """Return the choices that were made."""
        return dict(self.choices.made)

    def load_state_dict(self, made: dict[str, str]) -> None:
        """Compute as `made` says from now on."""
        self.choices.made = dict(made)
