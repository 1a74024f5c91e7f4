"""The training of weights within one call: its own schedule, averaged weights, and everything needed to go on later."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from nextframe.models.contract import Objective, Predictor
from nextframe.recipes.weights.feed import Feed
from nextframe.training.folder.logs import Window
from nextframe.training.optim.optimizer import Average, build_optimizer, gradient_norm, set_rate
from nextframe.training.optim.schedule import SCHEDULES
from nextframe.training.optim.skips import Skips, step_unless
from nextframe.training.recipe import TrainingConfig

TWO_AHEAD, THREE_AHEAD = 0.5, 0.75  # spent parts of the budget from which on more frames ahead are trained
LONG = 10**6  # updates after which an average has its full decay


def ahead(progress: float) -> int:
    """Return how many frames ahead are trained, each fed back, when `progress` in [0, 1] of the budget is spent."""
    return 1 + (progress >= TWO_AHEAD) + (progress >= THREE_AHEAD)


class Loop:
    """One model and its optimiser, step by step; `state_dict` has all that a later call needs to go on."""

    def __init__(
        self, model: Predictor, feed: Feed, config: TrainingConfig, accumulate: int, trained: bool = False
    ) -> None:
        """Start at step 0.

        Args:
            model: with one stage of one objective, on the device of `feed`.
            feed: its batches.
            config: the rate, its schedule, clipping, the decay of the averaged weights, the precision.
            accumulate: batches of a step.
            trained: the weights are worth averaging from the first step on.
        """
        self.model, self.feed, self.config, self.accumulate = model, feed, config, accumulate
        self.objective: Objective = model.stages()[0].objectives[0]
        self.optimizer = build_optimizer(self.objective, config)
        self.average = Average(model, config.ema)
        self.average.updates = LONG if trained else 0
        self.window, self.skips = Window(), Skips()
        self.step, self.rate = 0, 0.0

    def train_step(self, progress: float) -> None:
        """Take one step when `progress` in [0, 1] of the call's budget is spent."""
        factor = SCHEDULES.get(self.config.schedule)(progress, self.config.warmup)
        self.rate = set_rate(self.optimizer, factor)
        self.optimizer.zero_grad(set_to_none=True)
        for part in range(self.accumulate):
            self._add_gradient(self.step * self.accumulate + part, ahead(progress))
        norm = gradient_norm(self.objective.parameters, self.config.grad_clip)
        bad = torch.isfinite(norm).logical_not().float()
        step_unless(self.optimizer, bad)
        self.skips.add(self.objective.name, bad)
        self.average.update(self.model)
        self.step += 1

    def _add_gradient(self, number: int, frames: int) -> None:
        clip = self.feed.batch(number, frames)
        device = clip.context.device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.config.precision == "bf16"):
            loss, _ = self.objective.loss(clip)
        (loss / self.accumulate).backward()  # type: ignore[no-untyped-call]
        self.window.add({"loss": loss})

    def train(self, progress: Callable[[], float], after_step: Callable[[], bool]) -> None:
        """Take steps until the budget is spent, or `after_step` returns True to stop."""
        self.model.train()
        while (spent := progress()) < 1:
            self.train_step(spent)
            if after_step():
                return

    def loss(self) -> float | None:
        """Return the mean loss since the last call, None without a step; warn of updates that were skipped.

        Raises:
            NextframeError: too many gradients in a row were not finite.
        """
        self.skips.look(self.step)
        return self.window.means().get("loss")

    def averaged_half(self) -> dict[str, torch.Tensor]:
        """Return the averaged weights as a folder will hold them: rounded to half precision."""
        return {
            name: value.half().to(value.dtype) if value.is_floating_point() else value
            for name, value in self.average.weights.items()
        }

    def state_dict(self) -> dict[str, Any]:
        """Return weights, averaged weights, optimiser and step."""
        return {
            "model": self.model.state_dict(),
            "average": {"weights": self.average.weights, "updates": self.average.updates},
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, with a new schedule at this call's own rate."""
        rates = [group["lr"] for group in self.optimizer.param_groups]
        self.model.load_state_dict(state["model"])
        for name, value in self.average.weights.items():
            value.copy_(state["average"]["weights"][name])
        self.average.updates = state["average"]["updates"]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = group["initial_lr"] = rate
        self.step = state["step"]
