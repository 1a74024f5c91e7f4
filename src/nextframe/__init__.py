"""nextframe predicts the frames that come next in a video.

The public names are imported when they are first used, so `import nextframe` is instant and imports no torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextframe.checkpoint import create_model, list_models, load
    from nextframe.evaluation.evaluate import evaluate
    from nextframe.media.reader import read_video
    from nextframe.media.writer import write_video
    from nextframe.prediction.interpolate import interpolate
    from nextframe.prediction.predict import predict
    from nextframe.training import train

# Large tensors in huge pages, where the system offers them: a training step on a CPU otherwise spends a fifth of its
# time on page faults. torch reads this once, when it first allocates.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

__version__ = "0.1.0"
__all__ = [
    "create_model",
    "evaluate",
    "interpolate",
    "list_models",
    "load",
    "predict",
    "read_video",
    "train",
    "write_video",
]

_WHERE = {
    "create_model": "nextframe.checkpoint:create_model",
    "evaluate": "nextframe.evaluation:evaluate",
    "interpolate": "nextframe.prediction:interpolate",
    "list_models": "nextframe.checkpoint:list_models",
    "load": "nextframe.checkpoint:load",
    "predict": "nextframe.prediction:predict",
    "read_video": "nextframe.media.reader:read_video",
    "train": "nextframe.training:train",
    "write_video": "nextframe.media.writer:write_video",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'nextframe' has no attribute '{name}'")
    module, _, attribute = _WHERE[name].partition(":")
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
