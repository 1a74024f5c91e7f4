"""Sources, readers, writers and data sets: from a path or a name to clips."""

from __future__ import annotations

from pathlib import Path

from nextframe.core.errors import UnknownNameError
from nextframe.core.registry import Registry
from nextframe.data.clipset import ClipSet, DataConfig

__all__ = ["DATASETS", "ClipSet", "DataConfig", "open_data"]

DATASETS: Registry = Registry("data set")  # type: ignore[type-arg]

DATASETS.add("moving-digits", "nextframe.data.moving_digits:open_moving_digits")
DATASETS.add("motion-digits", "nextframe.data.motion_digits:open_motion_digits")
DATASETS.add("moving-mnist", "nextframe.data.moving_mnist:open_moving_mnist")
DATASETS.add("fashion", "nextframe.data.moving_mnist:open_fashion")
DATASETS.add("catz", "nextframe.data.registered:open_catz")
DATASETS.add("mspacman", "nextframe.data.registered:open_mspacman")
DATASETS.add("kth", "nextframe.data.registered:open_kth")
DATASETS.add("ucf101", "nextframe.data.registered:open_ucf101")
DATASETS.add("hmdb51", "nextframe.data.registered:open_hmdb51")
DATASETS.add("bair", "nextframe.data.registered:open_bair")
DATASETS.add("labelled", "nextframe.data.labelled:open_labelled")
DATASETS.add("percepts", "nextframe.data.percepts:open_percepts")


def is_path(name: str) -> bool:
    """Whether `name` is an existing path, or several with commas between them of which one exists."""
    from nextframe.data.listing import paths_of

    return any(path.exists() for path in paths_of(name))


def open_data(config: DataConfig) -> ClipSet:
    """Return the clips that `config` names: a registered data set, prepared clips, another path or several.

    Raises:
        UserError: neither a registered name nor an existing path, or fields that do not fit the data.
    """
    if config.name not in DATASETS and (Path(config.name) / "prepared.json").is_file():
        from nextframe.data.prepared import open_prepared

        return open_prepared(config)
    if config.kind == "flow":
        from nextframe.data.flow_clips import FlowClips, frames_for_flow

        return FlowClips(open_data(frames_for_flow(config)), config)
    if config.name in DATASETS:
        opened: ClipSet = DATASETS.get(config.name)(config)
        return opened
    if is_path(config.name):
        from nextframe.data.sources import open_path

        return open_path(config)
    raise UnknownNameError("data set or path", config.name, DATASETS)
