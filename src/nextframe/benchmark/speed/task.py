"""The task `speed`, which measures time and memory and reads no data, and what may be chosen in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from nextframe.core.config import Config

HORIZON = 10  # frames of an inference


class SpeedConfig(Config):
    """What `nextframe benchmark speed` may be told with --set speed.FIELD=VALUE."""

    rounds: int = Field(5, ge=1, description="timed runs of each side, which take turns; one more before them is not")
    batch: int | None = Field(None, ge=1, description="clips of a training step; null: what two cores do in seconds")
    size: tuple[int, int] = Field((64, 64), description="height and width of the frames")
    context: int = Field(10, ge=2, description="context frames")
    precision: Literal["32", "bf16"] = Field("32", description="bf16: autocast, on both sides")
    least: float = Field(0.1, ge=0, description="seconds that a run takes at least: what is shorter is repeated")
    fields: dict[str, Any] = Field(default_factory=dict, description="fields of the models, as hidden: [8, 8, 8]")


@dataclass(frozen=True)
class SpeedTask:
    """One task. The models and `SpeedConfig` decide what is measured, the machine how fast it is."""

    name: str
    about: str
    metrics: tuple[str, ...]
    wants: str = ""

    @property
    def hash(self) -> str:
        """The first 16 digits of the SHA-256 of what is measured."""
        text = json.dumps({"name": self.name, "metrics": list(self.metrics)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


TRAIN, PREDICT, STREAM, MEMORY = "training step", f"{HORIZON}-frame inference", "streaming step", "peak memory"
START, IMPORT = "start-up", "import torch"
SPEED = SpeedTask(
    name="speed",
    about="Seconds and memory of models beside their plain eager forms, in turn, and the share of the machine's peak.",
    metrics=(TRAIN, PREDICT, STREAM, START, MEMORY),
)
