"""Settings that belong to a verb and not to a recipe: `--set SECTION.FIELD=VALUE` reaches them."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from nextframe.core.config import Config
from nextframe.media.reading import Reading

RAY = "a Ray cluster that does the work: auto, HOST:PORT, or local for processes of this machine; null: none"


class TrainRun(Config):
    """How `nextframe train` runs; nothing of it is part of the recipe."""

    devices: int = Field(1, ge=1, description="devices to train on, one process each")
    report: bool = Field(True, description="write report.html: the val split, with baselines")
    json_file: Path | None = Field(None, description="write the last line of metrics.jsonl to this file")


class PrepareRun(Config):
    """How `nextframe prepare` runs; the clips do not depend on it."""

    workers: int | None = Field(
        None, ge=1, description="threads, with ray processes; null: as many as there are processors"
    )
    memory: float = Field(2.0, ge=0, description="GiB of decoded frames held at most, with ray by each process")
    ray: str | None = Field(None, description=RAY)


class BenchmarkRun(Config):
    """How `nextframe benchmark` runs tasks that train; the rows do not depend on it."""

    workers: int | None = Field(None, ge=1, description="with ray: processes, a row each; null: as many as have room")
    ray: str | None = Field(None, description=RAY)


class EvaluateConfig(Config):
    """What `nextframe evaluate` needs besides its options."""

    batch: int = Field(16, ge=1, description="clips at a time")
    compat: str | None = Field(None, description="also measure as openstl, mathieu or srivastava did, in separate rows")


class InterpolateConfig(Reading):
    """What `nextframe interpolate` needs besides its options, and how it reads a file that leaves a choice."""

    memory: float = Field(2.0, gt=0, description="GiB that reading and predicting may take")


class PredictConfig(Reading):
    """What `nextframe predict` needs besides its options."""

    stride: int = Field(1, ge=1, description="take every k-th frame")
    one_step: bool = Field(False, description="predict each frame from the true ones before it; implies --compare")
    with_context: bool = Field(False, description="start the output with the context frames")
    tile: int | None = Field(None, ge=16, description="predict in tiles of this many pixels per side: less memory")
    overlap: int = Field(32, ge=0, description="pixels that neighbouring tiles share")
    memory: float = Field(2.0, gt=0, description="GiB that reading and predicting may take")
    fps: float | None = Field(
        None, ge=0.01, le=1000, allow_inf_nan=False, description="frames a second of the output; null: the video's own"
    )
    trust: bool = Field(True, description="say how far ahead the model beats the last frame on the clip's own past")
