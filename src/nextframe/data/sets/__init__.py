"""Data sets by name: one file each, and one line each here."""

from __future__ import annotations

from typing import Any

from nextframe.core.registry import Registry, takes

DATASETS: Registry[Any] = Registry(
    "data set",
    "nextframe.data",
    "a function of a DataConfig that returns a ClipSet",
    lambda name, thing: takes(thing, 1),
)

DATASETS.add("moving-digits", "nextframe.data.sets.moving_digits:open_moving_digits")
DATASETS.add("motion-digits", "nextframe.data.sets.motion_digits:open_motion_digits")
DATASETS.add("motion-clips", "nextframe.data.sets.motion_clips:open_motion_clips")
DATASETS.add("pushed-digits", "nextframe.data.sets.pushed_digits:open_pushed_digits")
DATASETS.add("moving-squares", "nextframe.data.sets.moving_squares:open_moving_squares")
DATASETS.add("moving-scenes", "nextframe.data.sets.scenes.clips:open_moving_scenes")
DATASETS.add("moving-mnist", "nextframe.data.sets.moving_mnist:open_moving_mnist")
DATASETS.add("fashion", "nextframe.data.sets.moving_mnist:open_fashion")
DATASETS.add("catz", "nextframe.data.sets.local:open_catz")
DATASETS.add("mspacman", "nextframe.data.sets.local:open_mspacman")
DATASETS.add("kth", "nextframe.data.sets.local:open_kth")
DATASETS.add("kitti-caltech", "nextframe.data.sets.kitti_caltech:open_kitti_caltech")
DATASETS.add("ucf101", "nextframe.data.sets.local:open_ucf101")
DATASETS.add("ucf101-mathieu", "nextframe.data.sets.mathieu_test:open_mathieu_test")
DATASETS.add("sports1m", "nextframe.data.sets.sports1m:open_sports1m")
DATASETS.add("hmdb51", "nextframe.data.sets.local:open_hmdb51")
DATASETS.add("bair", "nextframe.data.sets.local:open_bair")
DATASETS.add("labelled", "nextframe.data.sets.labelled:open_labelled")
DATASETS.add("percepts", "nextframe.data.sets.percepts:open_percepts")
