"""KITTI, Cityscapes, DAVIS and Vimeo-90K from a local copy: which frames the field predicts, and where they lie.

What the evaluation scripts of DMVFN (Hu et al., CVPR 2023) and OPT (Wu et al., CVPR 2022) have in common: the frames,
the size, and the order. Frames are brought to that size by bilinear interpolation without smoothing, whatever their
proportions, as DMVFN does; OPT smooths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from nextframe.benchmark.real.task import Clips, RealConfig, VideoClip
from nextframe.core.clip import Task
from nextframe.core.errors import BadInputError
from nextframe.media.images import image_files
from nextframe.media.reader import open_source

Files = list[Path]  # the frames of a clip, in order
DRIVES = tuple(f"2011_09_26_drive_{number}_sync" for number in ("0060", "0084", "0093", "0096"))  # FVS's test drives
SEQUENCE = 30  # frames of each sequence of Cityscapes
NUMBERED = "[0-9]" * 6  # folders of the test sets that DMVFN offers, one clip each


@dataclass(frozen=True)
class Layout:
    """How a local copy looks: `find` returns the clips of each source below a folder; none if it finds nothing."""

    wants: str
    size: tuple[int, int]  # (height, width)
    find: Callable[[Path, int], dict[str, list[Files]]]  # of (folder, frames of a clip)

    def open(self, data: str, task: Task, config: RealConfig) -> Clips:
        """Return the clips below the folder `data`.

        Raises:
            BadInputError: no such folder, or one that does not look like this.
        """
        folder = Path(data)
        if not folder.is_dir():
            raise BadInputError(folder, "no such folder", f"wanted: {self.wants}")
        found = self.find(folder, task.length)
        if not any(found.values()):
            raise BadInputError(folder, "has no frames where they are looked for", f"wanted: {self.wants}")
        return Clips({source: partial(read_clips, source, clips, self.size) for source, clips in found.items()})


def read_clips(source: str, clips: list[Files], size: tuple[int, int]) -> Iterator[VideoClip]:
    """Yield the clips of these files, numbered from 0, their frames at `size` (height, width)."""
    for number, files in enumerate(clips):
        yield VideoClip(source, source, number, torch.stack([read_frame(file, size) for file in files]))


@lru_cache(maxsize=16)  # clips of KITTI share all frames but one
def read_frame(file: Path, size: tuple[int, int]) -> Tensor:
    """Return an image as (3, H, W) uint8 at `size` (height, width), stretched by bilinear interpolation.

    Raises:
        BadInputError: an image that is damaged or missing.
    """
    (frame,) = open_source(file, color="rgb").frames()
    if tuple(frame.shape[1:]) == size:
        return frame
    image = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
    scaled = np.asarray(cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR))
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))


def kitti(folder: Path, length: int) -> dict[str, list[Files]]:
    """Return every `length` frames in a row of the left colour camera of the four test drives."""
    below = [folder, folder / "2011_09_26"]
    places = {drive: _first(top / drive / "image_02" / "data" for top in below) for drive in DRIVES}
    if not any(places.values()):
        return _numbered(folder, length)
    for drive, place in places.items():
        if place is None:
            raise BadInputError(folder, f"lacks {drive}/image_02/data", f"wanted: {KITTI.wants}")
    return {drive: _in_a_row(_images(place), length) for drive, place in places.items() if place}


def cityscapes(folder: Path, length: int) -> dict[str, list[Files]]:
    """Return the first `length` frames of each 30 of every city of the validation split."""
    place = _first(folder / below for below in ("leftImg8bit_sequence/val", "val"))
    if place is None:
        return _numbered(folder, length)
    cities = sorted(city for city in place.iterdir() if city.is_dir())
    return {city.name: _of_each(_images(city), SEQUENCE, length) for city in cities}


def davis(folder: Path, length: int) -> dict[str, list[Files]]:
    """Return the first `length` frames of each video of the validation split of 2017."""
    top = _first(place for place in (folder, folder / "DAVIS") if (place / "JPEGImages").is_dir())
    names = _listed(top / "ImageSets" / "2017" / "val.txt", DAVIS) if top else []
    return {name: _of_each(_images(top / "JPEGImages" / "480p" / name), None, length) for name in names if top}


def vimeo(folder: Path, length: int) -> dict[str, list[Files]]:
    """Return the three frames of each triplet of the test list."""
    top = _first(place for place in (folder, folder / "vimeo_triplet") if (place / "sequences").is_dir())
    names = _listed(top / "tri_testlist.txt", VIMEO) if top else []
    return {name: _of_each(_images(top / "sequences" / name), None, length) for name in names if top}


def _first(places: Iterator[Path]) -> Path | None:
    return next((place for place in places if place.is_dir()), None)


def _listed(file: Path, layout: Layout) -> list[str]:
    """Return the lines of a list of names."""
    if not file.is_file():
        raise BadInputError(file, "no such file", f"wanted: {layout.wants}")
    return [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]


def _images(folder: Path) -> Files:
    """Return the images of a folder in order; BadInputError if there is no such folder."""
    if not folder.is_dir():
        raise BadInputError(folder, "no such folder, but the test split needs it", "complete the copy")
    return image_files(folder)


def _numbered(folder: Path, length: int) -> dict[str, list[Files]]:
    """Return the first `length` frames of each folder 000000, 000001, ... below `folder` or its folder test."""
    place = folder / "test" if (folder / "test").is_dir() else folder
    return {clip.name: _of_each(_images(clip), None, length) for clip in sorted(place.glob(NUMBERED))}


def _in_a_row(files: Files, length: int) -> list[Files]:
    return [files[start : start + length] for start in range(len(files) - length + 1)]


def _of_each(files: Files, every: int | None, length: int) -> list[Files]:
    """Return the first `length` of each full `every` files, of all of them if it is None."""
    every = every or max(len(files), length)
    return [files[start : start + length] for start in range(0, len(files) - every + 1, every)]


KITTI = Layout(
    "KITTI's raw data with the folders 2011_09_26_drive_{0060,0084,0093,0096}_sync/image_02/data, "
    "or folders test/000000, test/000001, ... of nine frames each",
    (256, 832),
    kitti,
)
CITYSCAPES = Layout(
    "Cityscapes with leftImg8bit_sequence/val/CITY, 30 images for each sequence, "
    "or folders test/000000, test/000001, ... of its sequences",
    (512, 1024),
    cityscapes,
)
DAVIS = Layout(
    "DAVIS 2017 with JPEGImages/480p/NAME and ImageSets/2017/val.txt, which lists the names", (480, 896), davis
)
VIMEO = Layout(
    "vimeo_triplet with sequences/NUMBER/NUMBER/im1.png to im3.png and tri_testlist.txt, which lists them",
    (256, 448),
    vimeo,
)
