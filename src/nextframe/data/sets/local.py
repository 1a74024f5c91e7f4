"""Benchmark data sets of videos and frame folders that the user has a copy of, by name.

None is downloaded: their owners want visitors on their own page, or give no checksum. `FACTS` says where to get each,
its licence, and the layout of a local copy; `docs/datasets.md` shows it as a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
from pydantic import Field, field_validator, model_validator

from nextframe.core.clip import Clip
from nextframe.core.conditions import Conditions
from nextframe.core.errors import BadInputError, UserError
from nextframe.data.clipset import DataConfig, Indices, Split
from nextframe.data.folder.clips import SourceClips
from nextframe.data.folder.contents import Contents, FolderConfig, look_at
from nextframe.data.folder.listing import Listing, list_sources
from nextframe.data.sets.lists import KTH_TRAIN, Labelled, list_hmdb51, list_kth, list_ucf101
from nextframe.media.reading import Reading

CATZ_FILES = {*(f"cat_{number}.jpg" for number in range(5)), "cat_result.jpg"}


@dataclass(frozen=True)
class Facts:
    """Where to get a data set, its licence as stated there, and the layout of a local copy below its root."""

    source: str
    licence: str
    layout: str


FACTS = {
    "catz": Facts(
        "https://storage.googleapis.com/wandb/catz.tar.gz",
        "none stated for the images (Giphy GIFs)",
        "ROOT/train/ID/ and ROOT/test/ID/ with cat_0.jpg to cat_4.jpg and cat_result.jpg",
    ),
    "mspacman": Facts(
        "https://github.com/dyelax/Adversarial_Video_Generation",
        "none stated for the frames (the code is MIT)",
        "ROOT/data/images/train/VIDEO/*.png (and test), or ROOT/Ms_Pacman/Train/VIDEO/*.png (and Test)",
    ),
    "kth": Facts(
        "https://www.csc.kth.se/cvap/actions/",
        "for non-commercial use",
        "ROOT/**/personNN_ACTION_dK_uncomp.avi",
    ),
    "ucf101": Facts(
        "https://www.crcv.ucf.edu/data/UCF101.php",
        "none stated",
        "ROOT/UCF-101/CLASS/v_*.avi and ROOT/ucfTrainTestlist/{classInd,trainlist0N,testlist0N}.txt",
    ),
    "ucf101-mathieu": Facts(
        "http://perso.esiee.fr/~coupriec/MathieuICLR16TestCode.zip",
        "none stated for the frames, which are UCF-101's (the code is GPL-3)",
        "ROOT/UCF101frm10p/N/ with pred_1.png to pred_4.png, target_1.png, target_2.png, pred_4_flow.png and "
        "target_1_flow.png",
    ),
    "sports1m": Facts(
        "https://github.com/gtoderici/sports-1m-dataset",
        "CC BY 3.0 for the lists; the videos are their owners'",
        "ROOT/original/train_partition.txt, ROOT/original/test_partition.txt, ROOT/labels.txt and ROOT/videos/ID.*, "
        "named by the 11 characters of their YouTube ids",
    ),
    "hmdb51": Facts(
        "https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/",
        "CC BY 4.0",
        "ROOT/CLASS/*.avi and ROOT/testTrainMulti_7030_splits/CLASS_test_splitN.txt",
    ),
    "kitti-caltech": Facts(
        "https://www.cvlibs.net/datasets/kitti/raw_data.php and https://data.caltech.edu/records/f6rph-90m20",
        "KITTI: CC BY-NC-SA 3.0; Caltech: as stated there",
        "ROOT/kitti/**/DATE_drive_NNNN_sync/image_03/data/*.png and ROOT/caltech/setNN/VNNN/*.jpg, every third frame",
    ),
    "bair": Facts(
        "http://rail.eecs.berkeley.edu/datasets/bair_robot_pushing_dataset_v0.tar",
        "none stated with the archive",
        "ROOT/train/.../CLIP/*.png (and test), or array files (N,T,H,W,C) there; TFRecords must be converted first",
    ),
}


class LocalConfig(FolderConfig):
    """Options of a data set of which the user has a copy: `root` is its folder, the rest is as for any folder."""

    FIXED: ClassVar[tuple[str, ...]] = ()  # options of a folder that the data set itself fixes

    root: str | None = Field(None, description="the folder of your copy")

    @model_validator(mode="after")
    def _nothing_in_vain(self) -> LocalConfig:
        if vain := [name for name in self.FIXED if name in self.model_fields_set]:
            raise ValueError(f"{' and '.join(vain)} cannot be set: the data set's own lists decide")
        return self


class OneShotConfig(LocalConfig):
    """Options of data sets whose clips are the benchmark's own: they are not split at cuts."""

    across_cuts: bool = Field(True, description="let clips cross scene cuts")


class ListedConfig(LocalConfig):
    """Options of data sets with three official splits; `val_share` is a share of train."""

    FIXED: ClassVar[tuple[str, ...]] = ("test_share",)

    split_number: int = Field(1, ge=1, le=3, description="which of the three official splits")


class KthConfig(LocalConfig):
    """Options of KTH: which persons of 1 to 16 are val."""

    FIXED: ClassVar[tuple[str, ...]] = ("val_share", "test_share")

    val_persons: tuple[int, ...] = Field((15, 16), description="which of the persons 1 to 16 are val")

    @field_validator("val_persons")
    @classmethod
    def _of_train(cls, persons: tuple[int, ...]) -> tuple[int, ...]:
        if not all(1 <= person <= KTH_TRAIN for person in persons) or len(set(persons)) >= KTH_TRAIN:
            raise ValueError("val_persons must be some, not all, of the persons 1 to 16")
        return persons


L = TypeVar("L", bound=LocalConfig)


class RegisteredClips(SourceClips):
    """Clips whose sources may have classes; where there are `classes`, `Clip.label` is the number of each clip's."""

    def __init__(self, config: DataConfig, options: FolderConfig, contents: Contents, labelled: Labelled) -> None:
        super().__init__(config, options, contents)
        self.classes = labelled.classes
        labels = [labelled.labels.get(member.name, -1) for member in contents.members]
        self._labels = torch.tensor(labels, dtype=torch.int64)

    def label(self, split: Split, index: int) -> int | None:
        """Return the class of the source that clip `index` is cut from; None: it has none."""
        number = int(self._labels[int(self.tables[split].members[index])])
        return None if number < 0 else number

    def read(self, split: Split, indices: Indices) -> Clip:
        """Return clips `indices` of `split` as one uint8 batch, in that order, with labels (B,) int64 if any."""
        clip = super().read(split, indices)
        if not self.classes:
            return clip
        labels = self._labels[torch.from_numpy(self.tables[split].members[indices])]
        return replace(clip, conditions=clip.conditions.adding(Conditions(fixed={"label": labels})))


def open_catz(config: DataConfig) -> RegisteredClips:
    """Return W&B's cats: 5 frames and the one that follows; options are those of `OneShotConfig`."""
    options, root = opened("catz", config, OneShotConfig)
    listing = _list_below([root, root / "catz"], "catz", options.reading)
    why = "it must hold cat_0.jpg to cat_4.jpg, cat_result.jpg and nothing else"
    listing.skipped += [(found.name, why) for found in listing.found if _names(found.path) != CATZ_FILES]
    listing.found = [found for found in listing.found if _names(found.path) == CATZ_FILES]
    return registered(config, options, root, Labelled(listing))


def open_mspacman(config: DataConfig) -> RegisteredClips:
    """Return Ms. Pac-Man's episodes as frame folders; options are those of `LocalConfig`."""
    options, root = opened("mspacman", config, LocalConfig)
    listing = _list_below([root / "data" / "images", root / "Ms_Pacman", root], "mspacman", options.reading)
    return registered(config, options, root, Labelled(listing))


def open_bair(config: DataConfig) -> RegisteredClips:
    """Return BAIR robot pushing from frame folders or array files; options are those of `OneShotConfig`."""
    options, root = opened("bair", config, OneShotConfig)
    listing = _list_below([root, root / "processed_data"], "bair", options.reading)
    return registered(config, options, root, Labelled(listing))


def open_kth(config: DataConfig) -> RegisteredClips:
    """Return KTH's actions, grey unless a colour is requested; options are those of `KthConfig`."""
    options, root = opened("kth", config, KthConfig)
    grey = config.model_copy(update={"color": config.color or "grey"})
    return registered(grey, options, root, list_kth(root, options.val_persons))


def open_ucf101(config: DataConfig) -> RegisteredClips:
    """Return UCF-101 by an official list; options are those of `ListedConfig`."""
    options, root = opened("ucf101", config, ListedConfig)
    return registered(config, options, root, list_ucf101(root, options.split_number, options.val_share))


def open_hmdb51(config: DataConfig) -> RegisteredClips:
    """Return HMDB-51 by an official split; options are those of `ListedConfig`."""
    options, root = opened("hmdb51", config, ListedConfig)
    return registered(config, options, root, list_hmdb51(root, options.split_number, options.val_share))


def opened(name: str, config: DataConfig, options: type[L]) -> tuple[L, Path]:
    """Return the options of data set `name` and the folder of its local copy.

    Raises:
        UserError: wrong options, or no such folder; the line says where to get the data and its layout.
    """
    parsed = options.parse(config.options, f"options of {name}")
    root = Path(parsed.root).expanduser() if parsed.root else None
    if root is None or not root.is_dir():
        facts = FACTS[name]
        what = f"{root} is not a folder" if root else "it needs a local copy, as nothing is downloaded for you"
        source = f"{facts.source} (licence: {facts.licence})"
        raise UserError(f"{name}: {what}; get it from {source}, {_lay_out(name)}, and give --root ROOT")
    return parsed, root


def registered(config: DataConfig, options: LocalConfig, root: Path, labelled: Labelled) -> RegisteredClips:
    """Return the clips of what is listed.

    Raises:
        BadInputError: there is no video at all.
    """
    if not labelled.listing.found and not labelled.listing.skipped:
        raise BadInputError(root, f"it has no video of {config.name}", _lay_out(config.name))
    contents = look_at(root, labelled.listing, config, options)
    return RegisteredClips(config, options, contents, labelled)


def _list_below(places: Sequence[Path], name: str, reading: Reading) -> Listing:
    """Return what the first of the folders with a train folder holds."""
    for place in places:
        if place.is_dir():
            listing = list_sources(place, reading)
            if listing.has_splits and listing.found:
                return listing
    what = "it has no train folder with frames"
    if any(found for place in places for found in place.rglob("*.tfrecord*")):
        what = "it holds TFRecords, which are not read"
    raise BadInputError(places[0], what, _lay_out(name))


def _lay_out(name: str) -> str:
    return f"lay it out as {FACTS[name].layout}"


def _names(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir()} if folder.is_dir() else set()
