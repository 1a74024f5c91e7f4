"""What a user says of files that do not say it themselves: which axes an array has, which pages are frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OPTION = "data.options"  # the section of settings that these fields have for a data set


@dataclass(frozen=True)
class Reading:
    """How files are read where they leave a choice; a field at its default lets the reader choose, and say so.

    `pages`: all pages of a TIFF are frames, or its first page alone is one.
    """

    pages: Literal["all", "first"] = "all"


DEFAULT = Reading()
