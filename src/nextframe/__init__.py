"""nextframe predicts the frames that come next in a video.

    import nextframe as nf

    nf.predict("cat.mp4", frames=10)                    # a path, a tensor (T, C, H, W) or (B, T, C, H, W), an array
    nf.evaluate("flow", "moving-digits")                # names, folders, models, clips, torch Datasets
    run = nf.fit("compact", "my_videos/", minutes=10)   # run.model, run.losses, run.report, run.show()
    model = nf.wrap(module, context=10, horizon=10)     # any module (B, T, C, H, W) -> (B, H, C, H, W)
    clips = nf.clips(tensor, context=10, horizon=10)    # a tensor (N, T, C, H, W), an array, a torch Dataset
    nf.sweep("compact", "my_videos/", over={"model.width": [32, 64]}, minutes=5)
    nf.load("user/name"); nf.list_models(); nf.show(frames)

The public names are imported when they are first used, so `import nextframe` is instant and imports no torch.
docs/python.md has an example of each.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextframe.api.deprecated import train
    from nextframe.api.fit import fit
    from nextframe.api.sweep import sweep
    from nextframe.checkpoint import create_model, list_models, load
    from nextframe.core.clip import Clip
    from nextframe.core.plugins import register
    from nextframe.data import ClipSet, DataConfig, clips
    from nextframe.evaluation.evaluate import evaluate
    from nextframe.media.reader import read_video
    from nextframe.media.writer import write_video
    from nextframe.models.contract import Predictor
    from nextframe.models.wrap import Wrapped, wrap
    from nextframe.prediction.interpolate import interpolate
    from nextframe.prediction.predict import predict
    from nextframe.prediction.shown.show import show
    from nextframe.training import Recipe, TrainingConfig

# Large tensors in huge pages, where the system offers them: a training step on a CPU otherwise spends a fifth of its
# time on page faults. torch reads this once, when it first allocates.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.1.0"
__all__ = [
    "Clip",
    "ClipSet",
    "DataConfig",
    "Predictor",
    "Recipe",
    "TrainingConfig",
    "Wrapped",
    "clips",
    "create_model",
    "evaluate",
    "fit",
    "interpolate",
    "list_models",
    "load",
    "predict",
    "read_video",
    "register",
    "show",
    "sweep",
    "train",
    "wrap",
    "write_video",
]

_WHERE = {
    "Clip": "nextframe.core.clip",
    "ClipSet": "nextframe.data",
    "DataConfig": "nextframe.data",
    "Predictor": "nextframe.models.contract",
    "Recipe": "nextframe.training",
    "TrainingConfig": "nextframe.training",
    "Wrapped": "nextframe.models.wrap",
    "clips": "nextframe.data",
    "create_model": "nextframe.checkpoint",
    "evaluate": "nextframe.evaluation",
    "fit": "nextframe.api.fit",
    "interpolate": "nextframe.prediction",
    "list_models": "nextframe.checkpoint",
    "load": "nextframe.checkpoint",
    "predict": "nextframe.prediction",
    "read_video": "nextframe.media.reader",
    "register": "nextframe.core.plugins",
    "show": "nextframe.prediction",
    "sweep": "nextframe.api.sweep",
    "train": "nextframe.api.deprecated",
    "wrap": "nextframe.models.wrap",
    "write_video": "nextframe.media.writer",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'nextframe' has no attribute '{name}'")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
