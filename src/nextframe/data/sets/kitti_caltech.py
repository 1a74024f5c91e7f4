"""Kitti-Caltech: drives of KITTI to train on, the Caltech pedestrian videos to test on (after PredNet, Lotter 2017).

KITTI's own frames come at 10 a second. Caltech's come at 30 in a format that is not read here, so a copy of it holds
every third frame.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from nextframe.core.errors import BadInputError
from nextframe.data.clipset import DataConfig
from nextframe.data.folder.listing import Found, Listing
from nextframe.data.sets.lists import Labelled
from nextframe.data.sets.local import FACTS, LocalConfig, RegisteredClips, opened, registered
from nextframe.media.names import natural_key

CAMERA = Path("image_03") / "data"
DRIVE = re.compile(r"\d{4}_\d\d_\d\d_drive_\d{4}_sync")
VAL = ("2011_09_26_drive_0005_sync",)
UNUSED = ("2011_09_26_drive_0104_sync", "2011_09_26_drive_0079_sync", "2011_09_26_drive_0070_sync")
VIDEO = re.compile(r"V\d{3}", re.IGNORECASE)
RULE = (
    "KITTI's drive 0005 of 2011_09_26 is val, PredNet's three test drives are unused, the rest train; Caltech is test"
)


class KittiCaltechConfig(LocalConfig):
    """Options of Kitti-Caltech, whose splits are PredNet's."""

    FIXED: ClassVar[tuple[str, ...]] = ("val_share", "test_share")


def open_kitti_caltech(config: DataConfig) -> RegisteredClips:
    """Return KITTI's drives and Caltech's videos; options are those of `KittiCaltechConfig`."""
    options, root = opened("kitti-caltech", config, KittiCaltechConfig)
    return registered(config, options, root, Labelled(list_kitti_caltech(root)))


def list_kitti_caltech(root: Path) -> Listing:
    """Return the drives below ROOT/kitti and the videos below ROOT/caltech, in their splits.

    Raises:
        BadInputError: one of the two is missing.
    """
    listing = Listing(has_splits=True, rule=RULE)
    for part in ("kitti", "caltech"):
        if not (root / part).is_dir():
            raise BadInputError(root, f"it has no folder '{part}'", f"lay it out as {FACTS['kitti-caltech'].layout}")
    for drive in _folders(root / "kitti", DRIVE):
        name = f"kitti/{drive.name}"
        if drive.name in UNUSED:
            listing.skipped.append((name, "it is one of PredNet's test drives, which this protocol does not use"))
        elif (drive / CAMERA).is_dir():
            listing.found.append(Found(drive / CAMERA, name, "val" if drive.name in VAL else "train"))
        else:
            listing.skipped.append((name, f"it has no {CAMERA.as_posix()}"))
    for video in _folders(root / "caltech", VIDEO):
        listing.found.append(Found(video, video.relative_to(root).as_posix(), "test"))
    return listing


def _folders(root: Path, name: re.Pattern[str]) -> list[Path]:
    found = [path for path in root.rglob("*") if name.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: natural_key(path.as_posix()))
