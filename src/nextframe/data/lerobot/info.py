"""`meta/info.json` of a LeRobot data set: its version, its cameras, where its files are, and its splits."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nextframe.core.errors import BadInputError, UserError, cut, did_you_mean, shown
from nextframe.data.clipset import Split
from nextframe.data.folder.listing import SPLIT_FOLDERS

INFO = Path("meta", "info.json")
ONE_EACH = ("v2.0", "v2.1")  # versions with a file for each episode
SEVERAL = ("v3.0",)  # and with several episodes in a file
VERSIONS = (*ONE_EACH, *SEVERAL)


class Feature(BaseModel):
    """One column or camera."""

    model_config = ConfigDict(frozen=True)

    dtype: str
    shape: tuple[int, ...] | None = None


class Info(BaseModel):
    """What `meta/info.json` says; the names of its fields are those of the format, others are ignored."""

    model_config = ConfigDict(frozen=True)

    codebase_version: str
    fps: float = Field(gt=0)
    features: dict[str, Feature]
    data_path: str
    video_path: str | None = None
    chunks_size: int = Field(1000, gt=0)
    splits: dict[str, str] = Field(default_factory=dict)

    @property
    def cameras(self) -> list[str]:
        """The names of the cameras that are stored as videos."""
        return [name for name, feature in self.features.items() if feature.dtype == "video"]

    def width(self, name: str) -> int:
        """Return how many numbers column `name` has in a row; 0 if there is no such column."""
        feature = self.features.get(name)
        return 0 if feature is None else math.prod(feature.shape or (1,))


def is_lerobot(path: str | Path) -> bool:
    """Return whether `path` is the folder of a LeRobot data set, of whatever version."""
    file = Path(path) / INFO
    if not file.is_file():
        return False
    listed = any((file.parent / name).exists() for name in ("episodes.jsonl", "episodes"))
    return listed or b"codebase_version" in file.read_bytes()


def read_info(root: Path) -> Info:
    """Return what `meta/info.json` of the data set at `root` says.

    Raises:
        BadInputError: the file cannot be read, lacks an entry, or is of a version that is not known.
    """
    file = root / INFO
    raw = _raw(file)
    version = raw.get("codebase_version")
    if version not in VERSIONS:
        what = "has no entry 'codebase_version'" if version is None else f"codebase_version is {shown(version)}"
        raise BadInputError(file, what, f"the versions that are read: {', '.join(VERSIONS)}")
    try:
        return Info.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        entry = cut(".".join(map(str, first["loc"])))
        raise BadInputError(file, f"its entry '{entry}' is missing or wrong ({first['msg'].lower()})") from None


def choose_camera(root: Path, info: Info, asked: str | None) -> str:
    """Return the camera that is `asked` for, by its name or the end of it after the last point; None: the only one.

    Raises:
        BadInputError: no camera is stored as a video.
        UserError: several and none is named, or no such camera; the line lists them.
    """
    cameras = info.cameras
    if not cameras:
        images = [name for name, feature in info.features.items() if feature.dtype == "image"]
        what = f"stores {', '.join(images)} as images in its tables" if images else "has no camera"
        raise BadInputError(root / INFO, f"the data set {what}", "only cameras that are stored as videos are read")
    if asked is None and len(cameras) > 1:
        raise UserError(f"{root}: it has {len(cameras)} cameras ({', '.join(cameras)}); {_choose(cameras[0])}")
    found = cameras if asked is None else [name for name in cameras if asked in (name, name.rpartition(".")[2])]
    if len(found) != 1:
        raise UserError(f"{root}: no camera '{asked}'{did_you_mean(asked or '', cameras)}")
    return found[0]


def splits_of(root: Path, info: Info, episodes: Sequence[int]) -> dict[int, Split] | None:
    """Return the split of each episode that `splits` names; None if that is train for all, which divides nothing.

    Raises:
        BadInputError: an unknown split, a range that is not FIRST:STOP, or an episode in two of them.
    """
    found: dict[int, Split] = {}
    for split, numbers in [_range(root, name, text) for name, text in info.splits.items()]:
        for episode in episodes:
            if episode in numbers and episode in found:
                raise BadInputError(root / INFO, f"episode {episode} is in two splits")
            if episode in numbers:
                found[episode] = split
    undivided = len(found) == len(episodes) and set(found.values()) == {"train"}
    return None if undivided or not info.splits else found


def _range(root: Path, name: str, text: str) -> tuple[Split, range]:
    """Return the split and the episodes of one entry of `splits`, such as train and 0:40."""
    edges, split = text.split(":"), SPLIT_FOLDERS.get(name.lower())
    if split is None or len(edges) != 2 or not all(edge.strip().isdecimal() for edge in edges):
        what = f"its split '{cut(name)}: {cut(text)}' is not train, val or test with episodes FIRST:STOP"
        raise BadInputError(root / INFO, what)
    return split, range(int(edges[0]), int(edges[1]))


def _raw(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(file, f"cannot be read as JSON ({str(error).splitlines()[0]})") from None
    if not isinstance(raw, dict):
        raise BadInputError(file, "is not a JSON object")
    return raw


def _choose(name: str) -> str:
    return f"choose one with --set data.options.camera={name}"
