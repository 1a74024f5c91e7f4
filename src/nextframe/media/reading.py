"""What a user says of files that do not say it themselves: which pages are frames, which value is white."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from nextframe.core.config import Config

OPTION = "data.options"  # where these fields are set of a data set
PLACES = ("prepare", "predict", "interpolate")  # sections of the verbs that take a path and no data section
FEW = 15  # of 255: frames of 8 bits that stay below use half of their bits at most


class Reading(Config):
    """How files are read where they leave a choice; at its default the reader chooses, and its notes say what."""

    pages: Literal["all", "first"] = Field("all", description="of a TIFF: every page is a frame, or the first alone")
    layout: str | None = Field(
        None,
        description="the axes of an array, such as NTHW: sequences, time, height, width, C channels; null: guessed",
    )
    range: tuple[float, float] | None = Field(
        None, description="values that are black and white, such as [0,4095] for 12 bits in 16; null: those of the type"
    )

    stream: int | None = Field(
        None, ge=0, description="which video stream of a file with several, counted from 0; null: the default one"
    )

    order: Literal["numbers", "decimals"] | None = Field(
        None, description="of images: 1.5 before 1.05 (numbers), or after it (decimals); null: told by the names"
    )
    series: Literal["apart", "together"] = Field(
        "apart", description="of images that count several times, as a_0, b_0: a source each, or one video"
    )

    @field_validator("range")
    @classmethod
    def _ascending(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and not ends[0] < ends[1]:
            raise ValueError("range must be two values, the lower one first")
        return ends

    @property
    def reading(self) -> Reading:
        """These fields alone, of a class that has others too."""
        return Reading(**{name: getattr(self, name) for name in Reading.model_fields})


DEFAULT = Reading()


def setting(name: str, value: str) -> str:
    """Return how a field is set, for an error that any verb may end with."""
    places = ", ".join(f"{place}.{name}" for place in PLACES)
    return f"--set {OPTION}.{name}={value} ({places}; in Python reading=Reading({name}=...))"


class Levels:
    """How values become 8 bits, and which were seen: bits that no value uses make dark frames."""

    def __init__(self, ends: tuple[float, float] | None) -> None:
        self.ends = ends
        self._lowest, self._highest, self._full = np.inf, -np.inf, 0.0
        self.deep_colors = False  # whether colours had 16 bits before they came here
        self.clear = False  # whether pixels were transparent
        self.stills = 1  # most that one file of a still image had

    def see(self, values: NDArray[Any], full: float) -> None:
        """Remember the extremes of values whose type goes from 0 to `full`."""
        self._full = max(full, self._full)
        self._lowest = min(float(values.min()), self._lowest)
        self._highest = max(float(values.max()), self._highest)

    def see_alpha(self, alpha: NDArray[np.uint8]) -> None:
        """Remember whether pixels are transparent; `alpha` is 255 where they are not."""
        self.clear = self.clear or bool((alpha < 255).any())

    def join(self, other: Levels) -> None:
        """Remember what `other` saw as well."""
        self._full, self.deep_colors = max(other._full, self._full), other.deep_colors or self.deep_colors
        self._lowest, self._highest = min(other._lowest, self._lowest), max(other._highest, self._highest)
        self.clear, self.stills = other.clear or self.clear, max(other.stills, self.stills)

    def scaled(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Return `values` as uint8: the ends of the range are 0 and 255, what is beyond them is cut."""
        assert self.ends is not None
        low, high = self.ends
        return np.rint((values.astype(np.float64).clip(low, high) - low) * (255 / (high - low))).astype(np.uint8)

    def notes(self) -> list[str]:
        """Return what is to be said of the values that were seen."""
        deep = ["colours of 16 bits become 8: 0 is black, 65535 white"] if self.deep_colors else []
        clear = ["transparent pixels are shown over black"] if self.clear else []
        first = f"the first of {self.stills} images in a file is read (save the others as files of their own)"
        return [*deep, *self._of_range(), *clear, *([first] if self.stills > 1 else [])]

    def _of_range(self) -> list[str]:
        if self._highest <= 0 or not self._full:
            return []
        low, high = f"{self._lowest:g}", f"{self._highest:g}"
        if self.ends is not None:
            cut = self._lowest < self.ends[0] or self._highest > self.ends[1]
            return [f"values from {low} to {high} are cut at the range [{_words(self.ends)}]"] if cut else []
        few = self._full / 2 if self._full > 255 else self._full * FEW / 255
        if self._highest > few:
            return [f"16 bits become 8: {taken_as(self._full)}"] if self._full > 255 else []
        top = 2.0 ** np.ceil(np.log2(self._highest + 1)) - 1 if self._full > 1 else self._highest
        what = f"values reach only {high} of {self._full:g}, so frames are dark"
        return [f"{what} (if they should not be: {OPTION}.range=[0,{top:g}])"]


def taken_as(white: float) -> str:
    """Return what is said where a type is taken to go from black to `white`."""
    return f"0 is black, {white:g} white (other: {OPTION}.range=[LOW,HIGH])"


def _words(ends: tuple[float, float]) -> str:
    return ",".join(f"{end:g}" for end in ends)
