"""Which videos the words of a command line name, and the file for what is predicted of each."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nextframe.core.errors import UserError
from nextframe.core.files.whole_file import check_apart, check_folder, free_name

if TYPE_CHECKING:
    from nextframe.media.reading import Reading

LOG = logging.getLogger(__name__)
GIF_PIXELS = 20_000_000  # in all frames together: above it an mp4 is written where nothing else is asked for
LARGE = 10_000_000  # bytes of a GIF, above which sites that show images refuse it


@dataclass(frozen=True)
class Input:
    """A video, and the word of the command line that named it: itself, or the folder that it is in."""

    path: Path
    word: Path

    @property
    def name(self) -> str:
        """The name of the video, without ending and without the star of a series of images."""
        path = self.path if self.path.name not in ("", ".", "..") else self.path.resolve()
        name = path.name if path.is_dir() else path.stem
        return re.sub(r"[-_. ]*\*[-_. ]*", "", name) or "video"


def inputs_of(words: Sequence[Path], reading: Reading) -> tuple[list[Input], bool]:
    """Return the videos that `words` name, and whether each of them is to have a file of its own.

    A folder with more images than videos is one video, its images; one with as many videos, or more, is these videos.
    """
    found = [Input(path, word) for word in words for path in _videos_in(word, reading)]
    return found, len(words) > 1 or found[0].path != found[0].word


def _videos_in(word: Path, reading: Reading) -> list[Path]:
    if not word.is_dir():
        return [word]
    from nextframe.data.folder.listing import list_directly
    from nextframe.media.names import is_image_name

    listing = list_directly(word, reading)
    videos = [found.path for found in listing.found if found.path.is_file()]
    images = {path for path in word.iterdir() if is_image_name(path.name) and path.is_file()} - set(videos)
    if not videos or len(images) > len(videos):
        _say_what_is_left(word, len(videos), "video")
        return [word]
    _say_what_is_left(word, len(images), "image")
    for name, why in listing.skipped:
        LOG.warning("%s: %s is skipped: %s", word, name, why)
    return videos


def _say_what_is_left(folder: Path, count: int, what: str) -> None:
    if count:
        LOG.warning("%s: %d %s%s beside the others in it are not read", folder, count, what, "s" if count > 1 else "")


@dataclass(frozen=True)
class Outputs:
    """Where predictions go: the one file or folder of images that was asked for, or a file each, in a folder."""

    asked: Path | None
    folder: Path

    @classmethod
    def of(cls, asked: Path | None, given: Sequence[Input], several: bool) -> Outputs:
        """Return where the predictions of one input, or of several, go when `asked` is the option -o.

        Raises:
            UserError: an output that cannot be written, that an input is or has in it, or a file for several inputs.
        """
        from nextframe.prediction import check_output

        one = None if several else asked
        if several and asked is not None and (asked.suffix or asked.is_file()) and not asked.is_dir():
            raise UserError(f"-o {asked} is one file, and each of several inputs has its own: give a folder")
        outputs = cls(one, Path() if asked is None else asked)
        check_folder(outputs.folder) if one is None else check_output(one)
        for each in given:
            check_apart(one or outputs.folder / f"{each.name}-next.gif", each.word)
        return outputs

    def check_beside(self, facts: Path, given: Sequence[Input]) -> None:
        """Refuse a file of facts that would replace an input, or the prediction.

        Raises:
            UserError: which file it is.
        """
        for each in given:
            check_apart(facts, each.path, inside=False)
        if self.asked is not None and facts.resolve() == self.asked.resolve():
            raise UserError(f"--json {facts} is the file of the prediction too, which would be lost: give another")

    def choose(self, given: Input, pixels: int) -> Path:
        """Return the file for an input of which `pixels` are predicted in all frames; unless asked for, a new one."""
        ending = ".mp4" if pixels > GIF_PIXELS else ".gif"
        return self.asked or free_name(self.folder, f"{given.name}-next", ending)


def note_size(path: Path) -> None:
    """Say so if a GIF is large."""
    place = os.path.realpath(path)  # where it was written: there need be no x in x/../next.gif
    if path.suffix.lower() == ".gif" and (size := os.path.getsize(place)) > LARGE:
        LOG.info("%s has %.0f MB, more than many sites take: -o %s.mp4 is much smaller", path, size / 1e6, path.stem)
