"""Percept files: the features of every frame of videos, written once and read as clips by the data set `percepts`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from nextframe.checkpoint import replaced_folder
from nextframe.core.clip import as_float
from nextframe.core.device import resolve_device
from nextframe.core.errors import BadInputError, NotSupportedError, UserError
from nextframe.core.progress import ProgressBar
from nextframe.data import DATASETS, ClipSet, DataConfig, open_data
from nextframe.data.clipset import SPLITS, Indices, Split
from nextframe.data.sets.percepts import CLASSES, PerceptConfig
from nextframe.transfer.backbones import Backbone, open_backbone

DATASET = PerceptConfig().dataset
BATCH = 64  # frames at a time


@dataclass(frozen=True)
class Written:
    """What `write_percepts` wrote: videos and frames of each split, the width of a vector, the classes."""

    videos: dict[Split, int]
    frames: dict[Split, int]
    width: int
    classes: tuple[str, ...]


def write_percepts(
    data: DataConfig, output: Path, backbone: str, *, device: str = "auto", show: bool = True
) -> Written:
    """Write the features of every frame of the videos of `data` into the new folder `output`.

    Args:
        data: a registered data set of videos, or a path; size and colour are the backbone's if it has its own.
        output: `train.h5`, `train_frames.txt`, `train_names.txt`, with classes `train_labels.txt`; so for val and test.
        backbone: "filters", "vgg16", or a run or model folder.
        device: where the backbone runs.
        show: progress on a terminal, log lines elsewhere.

    Raises:
        UserError: `output` exists and is not empty, or backbone and data do not fit.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise BadInputError(output, "exists and is not empty", "give a new folder")
    h5py = _h5py()
    network = open_backbone(backbone, resolve_device(device))
    clips = open_frames(data, network)
    with replaced_folder(output) as folder, ProgressBar("percepts", show=show, unit="video") as bar:
        (folder / CLASSES).write_text("".join(f"{name}\n" for name in clips.classes), encoding="utf-8")
        if not clips.classes:
            (folder / CLASSES).unlink()
        videos, frames, width = {}, {}, 0
        for split in SPLITS:
            if clips.count(split):
                videos[split], frames[split], width = _write_split(h5py, folder, clips, split, network, bar)
    return Written(videos, frames, width, clips.classes)


def open_frames(data: DataConfig, backbone: Backbone) -> ClipSet:
    """Return clips of two frames, one starting at each frame: all frames of all videos, in order."""
    size = data.size or backbone.size
    options = {"clip_step": data.stride, "eval_step": data.stride, **data.options}
    if data.name not in DATASETS or data.name in ("labelled", "kth", "ucf101", "hmdb51"):
        options = {"across_cuts": True, **options}
    changed = {"context": 1, "horizon": 1, "gap": None, "color": backbone.color, "size": size, "options": options}
    clips = open_data(data.model_copy(update=changed))
    if any(clips.count(split) is None for split in SPLITS):
        raise UserError(f"{clips.name} is endless, so not every frame of it can be written")
    return clips


def _write_split(
    h5py: Any, folder: Path, clips: ClipSet, split: Split, network: Backbone, bar: ProgressBar
) -> tuple[int, int, int]:
    """Write one split; return its videos and frames, and the width."""
    videos = _videos(clips, split)
    rows = sum(len(own) + 1 for own in videos.values())  # a clip for each frame but the last, which is its target
    lengths, labels, done = [], [], 0
    with h5py.File(folder / f"{split}.h5", "w") as file:
        stored = None
        for number, (name, own) in enumerate(videos.items()):
            for part in _features(clips, split, own, network):
                if stored is None:
                    stored = file.create_dataset(DATASET, (rows, part.shape[1]), np.float32)
                    stored.attrs["backbone"], stored.attrs["definition"] = network.name, network.definition
                stored[done : done + len(part)] = part
                done += len(part)
            lengths.append(len(own) + 1)
            labels.append(clips.label(split, int(own[0])))
            bar.say(number + 1, (number + 1) / len(videos), f"{split} {name}")
        assert stored is not None  # the split has clips
        width = int(stored.shape[1])
    _write_lines(folder / f"{split}_frames.txt", lengths)
    _write_lines(folder / f"{split}_names.txt", list(videos))
    if all(label is not None for label in labels):
        _write_lines(folder / f"{split}_labels.txt", labels)
    return len(videos), rows, width


def _videos(clips: ClipSet, split: Split) -> dict[str, Indices]:
    found: dict[str, list[int]] = {}
    for index in range(clips.count(split) or 0):
        found.setdefault(clips.source(split, index), []).append(index)
    return {name: np.array(own, np.int64) for name, own in found.items()}


@torch.no_grad()
def _features(clips: ClipSet, split: Split, own: Indices, network: Backbone) -> Iterator[NDArray[np.float32]]:
    """Yield the features (n, D) of a video's frames in order: each clip's first frame, and the last clip's second."""
    for first in range(0, len(own), BATCH):
        clip = clips.read(split, own[first : first + BATCH])
        frames = clip.context[:, 0]
        if first + BATCH >= len(own):
            frames = torch.cat([frames, clip.target[-1:, 0]])
        found = network.features(as_float(frames.to(network.device))).float().cpu().numpy()
        if not np.isfinite(found).all():
            raise UserError(f"the backbone {network.name} gives features of {clips.source(split, int(own[0]))} that "
                            "are not finite")  # fmt: skip
        yield found


def _write_lines(path: Path, values: list[Any]) -> None:
    path.write_text("".join(f"{value}\n" for value in values), encoding="utf-8")


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise NotSupportedError("percept files need h5py: pip install 'nextframe[percepts]'") from None
    return h5py
