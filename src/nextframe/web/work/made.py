"""What a model predicted for a visitor."""

from __future__ import annotations

import time
from dataclasses import dataclass

from nextframe.models.contract import Predictor
from nextframe.prediction import Asked, Prediction, stream
from nextframe.prediction.sizes.trained import fit_to_trained
from nextframe.web.work.plan import How, Job, Plan


@dataclass(frozen=True)
class Made:
    """What one model predicted, how, and how long it took, in seconds."""

    net: Predictor
    how: How
    prediction: Prediction
    seconds: float
    note: str  # of the size that it predicted at, if it is not that of the clip

    @classmethod
    def by(cls, name: str, net: Predictor, job: Job, plan: Plan) -> Made:
        """Predict by the model `net`, which visitors know as `name`, at the size of its training if it has one."""
        note = fit_to_trained(net, plan.shape).note(name) or ""
        how = How(name, job.samples if net.capabilities.stochastic else 1, bool(note))
        asked = Asked(
            samples=how.samples,
            compare=plan.known,
            at=plan.at,
            size=plan.size,
            one_step=job.one_step,
            limits=job.limits.reading(),
            fit=how.fit,
        )
        opened = stream(job.clip, net, plan.frames, asked)
        started = time.perf_counter()  # the clip is read by now
        prediction = Prediction.of(opened)
        return cls(net, how, prediction, time.perf_counter() - started, note)

    @property
    def name(self) -> str:
        """The model's name for visitors."""
        return self.how.name

    @property
    def took(self) -> str:
        """How long it took, in words."""
        return f"{self.seconds:.1f} s" if self.seconds >= 0.1 else "under 0.1 s"
