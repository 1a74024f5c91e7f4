"""What a model predicted for a visitor."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nextframe.models.contract import Predictor
from nextframe.prediction import Asked, Prediction, stream
from nextframe.web.work.plan import Job, Plan


@dataclass(frozen=True)
class Made:
    """What one model predicted, and how long it took, in seconds."""

    name: str
    net: Predictor
    prediction: Prediction
    seconds: float

    @classmethod
    def by(cls, name: str, net: Predictor, job: Job, plan: Plan) -> Made:
        """Predict by the model `net`, which visitors know as `name`."""
        asked = Asked(
            samples=job.samples if net.capabilities.stochastic else 1,
            compare=plan.known,
            at=plan.at,
            size=plan.size,
            one_step=job.one_step,
            limits=job.limits.reading(),
        )
        opened = stream(job.clip, net, plan.frames, asked)
        started = time.perf_counter()  # the clip is read by now
        prediction = Prediction.of(opened)
        return cls(name, net, prediction, time.perf_counter() - started)

    @property
    def took(self) -> str:
        """How long it took, in words."""
        return f"{self.seconds:.1f} s" if self.seconds >= 0.1 else "under 0.1 s"
