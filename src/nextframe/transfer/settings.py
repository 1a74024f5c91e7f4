"""Settings of a transfer experiment, and the names of its methods."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from nextframe.core.config import Config
from nextframe.transfer.classifier import ClassifierConfig

Method = Literal["fine-tuned", "frozen", "random", "probe", "single-frame"]
METHODS: tuple[Method, ...] = ("fine-tuned", "frozen", "random", "probe", "single-frame")
EXACT: tuple[Method, ...] = ("probe", "single-frame")  # methods for which the same videos give the same classifier
PRETRAINED: tuple[Method, ...] = ("fine-tuned", "frozen")  # methods that need trained weights


class TransferConfig(Config):
    """Which amounts of labels, how many draws, which methods; `split` val is for choosing settings."""

    per_class: tuple[int | None, ...] = Field(
        (1, 2, 4, 10, 20, 50, None), description="labelled videos per class; null: all"
    )
    draws: int = Field(10, ge=1, description="random choices of the labelled videos")
    methods: tuple[Method, ...] = Field(METHODS, description="the rows of the table")
    split: Literal["val", "test"] = Field("test", description="val to choose settings")
    window: int = Field(16, ge=2, description="frames that a class is recognised from")
    stride: int = Field(8, ge=1, description="frames from one window to the next")
    seed: int = Field(0, description="the random seed")
    device: str = Field("auto", description="auto, cpu, cuda or mps")
    flow_model: str | None = Field(
        None, description="a run folder of a model of optical flow, on the same videos: both classifiers are averaged"
    )
    classifier: ClassifierConfig = ClassifierConfig()

    @field_validator("per_class")
    @classmethod
    def _some(cls, counts: tuple[int | None, ...]) -> tuple[int | None, ...]:
        if not counts or any(count is not None and count < 1 for count in counts):
            raise ValueError("per_class must be integers of at least 1, or all")
        return counts
