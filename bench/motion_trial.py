"""The trial that `motion` began as, to compare with: --plugin bench/motion_trial.py --models motion-trial,motion.

Its network and weights are not part of this repository: MOTION_TRIAL is the folder of its net.py and weights.pt.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nextframe.core.errors import UserError
from nextframe.core.plugins import register
from nextframe.models.contract import Capabilities, ModelConfig, Predictor, Request

FOLDER = Path(os.environ.get("MOTION_TRIAL", "../shared/motion"))


def trial() -> Any:
    """Return the module of its network.

    Raises:
        UserError: the folder is missing.
    """
    if not (FOLDER / "net.py").exists():
        raise UserError(
            f"{FOLDER}: the trial is not there; set MOTION_TRIAL to the folder of its net.py and weights.pt"
        )
    spec = importlib.util.spec_from_file_location("motion_trial_net", FOLDER / "net.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["motion_trial_net"] = module
    spec.loader.exec_module(module)
    return module


@register("motion-trial")
class MotionTrial(Predictor):
    """The trial's own network and roll-out, unchanged."""

    idea = "The trial that motion began as."

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.module = trial()
        self.net = self.module.Next(3)
        weights = torch.load(FOLDER / "weights.pt", weights_only=True)["ema"]
        self.net.load_state_dict({name: value.float() for name, value in weights.items()})

    @property
    def capabilities(self) -> Capabilities:
        """Three RGB frames or more; it has no stages, so it is measured as it is."""
        return Capabilities(trainable=False, min_context=3, channels=3)

    def forecast(self, request: Request) -> Tensor:
        """Return the frames that follow."""
        future: Tensor = self.module.rollout(self.net, request.context, request.horizon)
        return future
