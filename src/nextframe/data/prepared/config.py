"""What `nextframe prepare` is asked for; the defaults are those of Mathieu et al. 2016."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from nextframe.data.clipset import Split, some_pixels
from nextframe.data.prepared.crops import MotionRule
from nextframe.media.reading import Reading


class PrepareConfig(Reading):
    """Which clips are prepared: everything that determines their bytes, besides the sources."""

    size: tuple[int, int] = Field((32, 32), description="height and width of the crops")
    context: int = Field(4, ge=1, description="context frames")
    horizon: int = Field(1, ge=1, description="frames to predict")
    stride: int = Field(1, ge=1, description="take every k-th frame")
    threshold: float = Field(
        100.0, ge=0, description="least motion: squared differences of consecutive frames in [-1, 1], summed"
    )
    keep: float = Field(0.05, ge=0, le=1, description="probability that the first crop is kept whatever it shows")
    tries: int = Field(100, ge=1, description="crops at most; then the last one is kept")
    clips: int = Field(20_000, ge=1, description="clips of the train split")
    held_out: int | None = Field(None, ge=0, description="clips of val and of test each; null: a tenth of clips")
    seed: int = Field(0, ge=0, description="the random seed")
    color: Literal["grey", "rgb"] | None = Field(None, description="null: grey if all sources are")
    kind: Literal["frames", "flow"] = Field("frames", description="flow: two channels, pixels to the right and down")
    max_flow: float = Field(16.0, gt=0, description="pixels per step at which the scale of stored flows ends")
    across_cuts: bool = Field(False, description="let clips cross scene cuts")
    val_share: float = Field(0.1, ge=0, lt=1, description="share of the sources that is val, if there is no folder val")
    test_share: float = Field(
        0.1, ge=0, lt=1, description="share of the sources that is test, if there is no folder test"
    )
    shard: int = Field(1000, ge=1, description="clips in a file")
    options: dict[str, Any] = Field(
        default_factory=dict, description="options of the data set itself, such as the camera of a LeRobot folder"
    )

    @field_validator("options")
    @classmethod
    def _not_of_its_own(cls, options: dict[str, Any]) -> dict[str, Any]:
        if own := sorted(options.keys() & cls.model_fields.keys()):
            raise ValueError(f"{own[0]} is a setting of prepare itself: give prepare.{own[0]}")
        return options

    _size = field_validator("size")(some_pixels)

    @property
    def offsets(self) -> list[int]:
        """Frames of a span that are used; flows need one more than they are."""
        frames = self.context + self.horizon + (self.kind == "flow")
        return [t * self.stride for t in range(frames)]

    @property
    def span(self) -> int:
        """Frames of a source from the first to the last of a clip."""
        return self.offsets[-1] + 1

    @property
    def rule(self) -> MotionRule:
        """When a crop is kept."""
        return MotionRule(self.size, self.threshold, self.keep, self.tries)

    def count(self, split: Split) -> int:
        """Return how many clips `split` gets."""
        return self.clips if split == "train" else self.clips // 10 if self.held_out is None else self.held_out

    def shape(self, channels: int) -> tuple[int, int, int, int]:
        """Return a clip's (T, C, H, W) for sources of this many channels."""
        return (self.context + self.horizon, 2 if self.kind == "flow" else channels, *self.size)
