"""Which sections `--set SECTION.FIELD=VALUE` reaches for each verb, and the config that checks each."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextframe.core.config import Config

_DATA = "nextframe.data.clipset:DataConfig"
# The sections `model` and `options` are checked by the model itself: they have no config here.
SECTIONS: dict[str, dict[str, str]] = {
    "data": {"data": _DATA},
    "prepare": {
        "prepare": "nextframe.data.prepared.config:PrepareConfig",
        "run": "nextframe.cli.configs:PrepareRun",
    },
    "extract-features": {"data": _DATA},
    "train": {
        "training": "nextframe.training.recipe:TrainingConfig",
        "data": _DATA,
        "model": "",
        "run": "nextframe.cli.configs:TrainRun",
    },
    "sweep": {"training": "nextframe.training.recipe:TrainingConfig", "data": _DATA, "model": ""},
    "evaluate": {"evaluate": "nextframe.cli.configs:EvaluateConfig", "data": _DATA, "options": ""},
    "predict": {"predict": "nextframe.cli.configs:PredictConfig", "options": ""},
    "interpolate": {"interpolate": "nextframe.cli.configs:InterpolateConfig"},
    "latent": {"data": _DATA},
    "transfer": {"transfer": "nextframe.transfer.settings:TransferConfig", "data": _DATA},
    "import": {"model": "", "settings": ""},
    "benchmark": {
        "real": "nextframe.benchmark.real.task:RealConfig",
        "speed": "nextframe.benchmark.speed.task:SpeedConfig",
        "run": "nextframe.cli.configs:BenchmarkRun",
    },
    "app": {"limits": "nextframe.web.limits:WebLimits"},
}
A_PATH, LEROBOT, ROWS = "PATH", "LEROBOT", "ROWS"  # any path; a folder of LeRobot; one of Hugging Face datasets
_LOCAL = "nextframe.data.sets.local"
DATA_OPTIONS = {
    A_PATH: "nextframe.data.folder.contents:FolderConfig",
    LEROBOT: "nextframe.data.lerobot.recording:LeRobotConfig",
    ROWS: "nextframe.data.huggingface.clips:RowsConfig",
    "moving-digits": "nextframe.data.sets.moving_digits:MovingDigitsConfig",
    "fashion": "nextframe.data.sets.moving_digits:MovingDigitsConfig",
    "moving-mnist": "nextframe.data.sets.moving_mnist:MovingMnistConfig",
    "motion-digits": "nextframe.data.sets.motion_digits:MotionDigitsConfig",
    "motion-clips": "nextframe.data.sets.motion_clips:MotionClipsConfig",
    "percepts": "nextframe.data.sets.percepts:PerceptConfig",
    "catz": f"{_LOCAL}:OneShotConfig",
    "mspacman": f"{_LOCAL}:OneShotConfig",
    "bair": f"{_LOCAL}:OneShotConfig",
    "kth": f"{_LOCAL}:KthConfig",
    "kitti-caltech": "nextframe.data.sets.kitti_caltech:KittiCaltechConfig",
    "ucf101": f"{_LOCAL}:ListedConfig",
    "hmdb51": f"{_LOCAL}:ListedConfig",
    "labelled": f"{_LOCAL}:LocalConfig",
}


def load_config(path: str) -> type[Config]:
    """Import and return the config that "module:Class" names."""
    module, _, name = path.partition(":")
    config: type[Config] = getattr(importlib.import_module(module), name)
    return config


def data_options(name: str) -> type[Config] | None:
    """Return the config of `data.options` for a data set, or for a path; None: a data set that declares none."""
    from nextframe.data import DATASETS
    from nextframe.data.huggingface.load import is_rows
    from nextframe.data.lerobot.info import is_lerobot

    if name in DATA_OPTIONS:
        return load_config(DATA_OPTIONS[name])
    if name in DATASETS:
        return None
    return load_config(DATA_OPTIONS[LEROBOT if is_lerobot(name) else ROWS if is_rows(name) else A_PATH])


def read_settings(verb: str, settings: list[str] | None) -> dict[str, Any]:
    """Return the values of `--set SECTION.FIELD=VALUE` by their dotted names.

    Raises:
        UserError: a setting that cannot be read, or of a section that `verb` does not have.
    """
    if not settings:
        return {}
    from nextframe.core.errors import UserError
    from nextframe.core.settings import parse_settings

    found = parse_settings(settings)
    for key in found:
        section, _, name = key.partition(".")
        if section not in SECTIONS[verb] or not name:
            forms = " or ".join(f"{known}.FIELD=VALUE" for known in SECTIONS[verb])
            raise UserError(f"setting '{key}': write {forms}; 'nextframe settings {verb}' lists them")
    return found


def section(settings: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the fields of one section as nested mappings: {"a.b.c": 1} is {"b": {"c": 1}} for "a".

    Raises:
        UserError: a field inside a field that has no named fields.
    """
    from nextframe.core.settings import set_dotted

    values: dict[str, Any] = {}
    for key, value in settings.items():
        first, _, field = key.partition(".")
        if first == name:
            set_dotted(values, field, value)
    return values


def only(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the settings of the sections `names`, by their dotted names."""
    return {key: value for key, value in settings.items() if key.partition(".")[0] in names}
