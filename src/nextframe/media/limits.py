"""How much a reader may decode before it refuses, so that a hostile or broken file costs little."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike

from nextframe.core.errors import BadInputError


@dataclass(frozen=True)
class Limits:
    """Upper limits of decoding; a file beyond them is refused in one line.

    `pixels` is per frame (default: a little over 8K video), `frames` per source, `bytes` what is held in memory
    at once when frames are read into one tensor or an archive must be unpacked. `seconds` is the longest wait for the
    next frame; `packets` the most packets without one.
    """

    pixels: int = 2**25 + 2**22
    frames: int = 5_000_000
    bytes: int = 2**31
    seconds: float = 4.0
    packets: int = 1000

    def check_size(self, path: str | PathLike[str], height: int, width: int) -> None:
        """Refuse frames without pixels, or with more than `pixels`."""
        if height < 1 or width < 1:
            raise BadInputError(path, f"frames of {width}x{height} have no pixels")
        if height * width > self.pixels:
            raise BadInputError(path, f"frames of {width}x{height} are larger than the limit of {self.pixels:,} pixels")

    def check_bytes(self, path: str | PathLike[str], count: int) -> None:
        """Refuse to hold `count` bytes at once if that is more than `bytes`."""
        if count > self.bytes:
            raise BadInputError(
                path,
                f"this would take {count / 2**30:.1f} GiB of memory, the limit is {self.bytes / 2**30:.1f} GiB",
                "ask for fewer frames, a larger stride or a smaller size",
            )
