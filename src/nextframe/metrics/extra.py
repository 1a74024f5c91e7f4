"""What metrics with pretrained networks need beyond the base install: torchvision, and a file of weights."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

from nextframe.core.errors import NotSupportedError


def need_torchvision(what: str, weights: str) -> tuple[ModuleType, Path]:
    """Return the module torchvision.models and the path of the file `weights`; nothing is downloaded here.

    Raises:
        NotSupportedError: torchvision cannot be imported, or the file is not in torch's cache.
    """
    import torch

    path = Path(torch.hub.get_dir()) / "checkpoints" / weights
    try:
        models = importlib.import_module("torchvision.models")
    except (ImportError, RuntimeError) as error:  # RuntimeError: built for another torch
        raise NotSupportedError(
            f"{what} needs torchvision ({error}): install the extra nextframe[lpips], and put the weights at {path}"
        ) from None
    if not path.is_file():
        raise NotSupportedError(f"{what} needs the weights {weights} of torchvision, which are not at {path}")
    return models, path
