"""The fixed tasks: which clips are held out, what is predicted, how it is measured, and how long a model may train.

Tasks that only measure, and train nothing, are `VideoTask`s (`nextframe.benchmark.real`) and, of seconds, `SpeedTask`s
(`nextframe.benchmark.speed`).
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Literal

from nextframe.benchmark.real.task import VideoTask
from nextframe.benchmark.speed.task import SPEED, SpeedTask
from nextframe.core.config import Config
from nextframe.core.errors import UserError
from nextframe.core.registry import Registry
from nextframe.data import DataConfig
from nextframe.recipes.small import SMALL_DATA, TRAINING
from nextframe.training import TrainingConfig

WHERE = ("file", "draw")  # options of data that change no clip


class BenchmarkTask(Config):
    """One task. A figure is decided by `definition`; each row has data paths and the budget too."""

    name: str
    about: str
    data: DataConfig  # its name is empty if the user must give the data
    wants: str = ""  # what to give with --data, if it must be given
    takes: str = ""  # what may be given with --data, and replaces the test split
    split: Literal["val", "test"] = "test"  # the whole of it is measured
    metrics: tuple[str, ...]  # the first is the ranking metric
    training: TrainingConfig  # of models that come without a recipe; its budget and seed are everyone's
    recipes: tuple[str, ...] = ()  # beginnings of names: recipes that take part unless others are named

    @property
    def definition(self) -> dict[str, Any]:
        """What decides a figure, as plain values: not the path of the data, and not how a model was trained."""
        data = self.data.model_dump(mode="json", exclude={"name"} if self.data.mix else {"name", "mix"})
        data["options"] = {name: value for name, value in data["options"].items() if name not in WHERE}
        return {
            "name": self.name,
            "data": data if self.wants else {"name": self.data.name, **data},
            "split": self.split,
            "metrics": list(self.metrics),
            "seed": self.training.seed,
        }

    @property
    def hash(self) -> str:
        """The first 16 digits of the SHA-256 of `definition`: rows can be compared if this is the same."""
        text = json.dumps(self.definition, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def data_at(self, path: str | None) -> DataConfig:
        """Return the task's data, read from `path` (several separated by commas) if it must be given.

        Raises:
            UserError: a path that is missing, or given to a task that has its own data.
        """
        if bool(path) != bool(self.wants) and not (path and self.takes):
            what = f"needs --data: {self.wants}" if self.wants else "has its own data: omit --data"
            raise UserError(f"task {self.name} {what}")
        if not path:
            return self.data
        if self.takes:
            options = {**self.data.options, "test": "file", "file": path}
            return self.data.model_copy(update={"options": options})
        return self.data.model_copy(update={"name": path})

    def at(self, path: str | None) -> BenchmarkTask:
        """Return the task as it is measured on `path`: with another test split it has another definition.

        Raises:
            UserError: as `data_at`.
        """
        data = self.data_at(path)
        return self.model_copy(update={"data": data}) if self.takes else self


AnyTask = BenchmarkTask | VideoTask | SpeedTask
TASKS: Registry[AnyTask] = Registry(
    "task",
    "nextframe.tasks",
    "a BenchmarkTask, a VideoTask or a SpeedTask of that name",
    lambda name, thing: isinstance(thing, AnyTask) and thing.name == name,
)

GIF_NEXT = BenchmarkTask(
    name="gif-next",
    about="Frame 6 of a GIF from 5, 96x96 RGB, as in the catz benchmark; the lowest perceptual distance wins.",
    data=DataConfig(
        name="", context=5, horizon=1, size=(96, 96), color="rgb", options={"val_share": 0.1, "test_share": 0.2}
    ),
    wants="folders of GIFs, separated by commas",
    metrics=(
        "perceptual-distance",
        "perceptual-distance-moving",
        "mse",
        "psnr",
        "psnr-moving",
        "ssim",
        "sharpness-difference",
    ),
    training=TrainingConfig(
        minutes=30,
        batch=8,
        balance="changes",
        schedule="cosine",
        ema=0.99,
        val_every=500,
        checkpoint_every=500,
        monitor="val/loss",
        keep="last",
    ),
    recipes=("catz-",),
)

MOVING_DIGITS = BenchmarkTask(
    name="moving-digits",
    about="Ten frames of two moving digits from ten, 64x64 grey, generated: the same clips everywhere.",
    data=DataConfig(name="moving-digits", context=10, horizon=10),
    metrics=("mse", "mse-sum", "mae", "psnr", "ssim"),
    training=TrainingConfig(minutes=30, batch=8, schedule="cosine", checkpoint_every=100),
    recipes=("quickstart", "keras-convlstm"),
)

DIGITS_METRICS = ("mse-openstl", "mae-openstl", "mse", "mae", "ssim", "ssim-openstl")

MOVING_MNIST = BenchmarkTask(
    name="moving-mnist",
    about="Ten frames of two moving MNIST digits from ten, 64x64 grey: the field's test file with --data, else as many "
    "sequences generated from MNIST's test digits.",
    data=DataConfig(
        name="moving-mnist",
        context=10,
        horizon=10,
        options={"test": "generated", "test_clips": 10_000, "draw": "device"},
    ),
    takes="mnist_test_seq.npy, or its folder, for test",
    metrics=DIGITS_METRICS,
    training=TrainingConfig(minutes=30, schedule="onecycle", checkpoint_every=2_000, val_clips=256),
)

MOVING_MNIST_SMALL = BenchmarkTask(
    name="moving-mnist-small",
    about="Five frames of one moving MNIST digit from five, 32x32 grey; every model takes at most 1 GMAC a clip.",
    data=SMALL_DATA,
    metrics=DIGITS_METRICS,
    training=TRAINING,
    recipes=("small-",),
)

MSPACMAN_NEXT = BenchmarkTask(
    name="mspacman-next",
    about="The next two frames of Ms. Pac-Man from four, 210x160 RGB, as in Mathieu et al. 2016; highest PSNR wins.",
    data=DataConfig(name="", context=4, horizon=2, size=(210, 160), color="rgb"),
    wants="a folder with a folder of frames for each episode",
    metrics=("psnr", "psnr-moving", "ssim", "ssim-moving", "sharpness-difference", "gradient-difference", "mse"),
    training=TrainingConfig(minutes=30, batch=8, schedule="cosine", checkpoint_every=100),
)

INTERPOLATE = BenchmarkTask(
    name="interpolate",
    about="The frame between two that are two apart, 96x96 RGB; the highest PSNR wins.",
    data=DataConfig(
        name="",
        context=2,
        horizon=1,
        gap=1,
        size=(96, 96),
        color="rgb",
        options={"val_share": 0.1, "test_share": 0.2},
    ),
    wants="videos, GIFs or folders of them, separated by commas",
    metrics=("psnr", "psnr-moving", "ssim", "mse", "perceptual-distance"),
    training=TrainingConfig(minutes=30, batch=16, schedule="cosine", checkpoint_every=100),
)

for _task in (GIF_NEXT, MOVING_DIGITS, MOVING_MNIST, MOVING_MNIST_SMALL, MSPACMAN_NEXT, INTERPOLATE, SPEED):
    TASKS.add(_task.name, _task)
TASKS.add("real-next", "nextframe.benchmark.real.tasks:REAL_NEXT")
TASKS.add("kitti-next", "nextframe.benchmark.real.tasks:KITTI_NEXT")
TASKS.add("cityscapes-next", "nextframe.benchmark.real.tasks:CITYSCAPES_NEXT")
TASKS.add("davis-next", "nextframe.benchmark.real.tasks:DAVIS_NEXT")
TASKS.add("vimeo-next", "nextframe.benchmark.real.tasks:VIMEO_NEXT")
