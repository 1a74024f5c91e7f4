"""Trained models by name: in the package, on the Hub if a repository is named, or in `weights/` of a checkout."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from nextframe.checkpoint.folder import CONFIG
from nextframe.checkpoint.hub import HubModel, fetch_model
from nextframe.core.errors import BadInputError

LOG = logging.getLogger(__name__)
SHIPPED = Path(__file__).parent / "shipped"  # model folders that come with the package
VARIABLE = "NEXTFRAME_WEIGHTS"  # of the environment: a folder of model folders, instead of the checkout's
ON_HUB: dict[str, str] = {}  # name: user/name of its repository, of those that are there


def shipped_models() -> list[str]:
    """Return the names of the trained models that ship with the package."""
    return sorted(folder.name for folder in SHIPPED.iterdir() if folder.is_dir()) if SHIPPED.is_dir() else []


def weights_folder() -> Path | None:
    """Return the folder `weights` of the checkout that runs, or the one that NEXTFRAME_WEIGHTS names; None: neither.

    It need not exist.
    """
    named, top = os.environ.get(VARIABLE), Path(__file__).resolve().parents[3]
    if named:
        return Path(named)
    return top / "weights" if (top / "pyproject.toml").is_file() else None


def trained_models() -> list[str]:
    """Return the names of all trained models: those that ship first, then those on the Hub and in `weights/`."""
    folder = weights_folder()
    beside = [path.parent.name for path in folder.glob(f"*/{CONFIG}")] if folder else []
    return list(dict.fromkeys([*shipped_models(), *sorted({*ON_HUB, *beside})]))


def find_here(name: str) -> Path | None:
    """Return the folder of the trained model `name` in the package or in `weights/`; None: it is in neither."""
    folder = weights_folder()
    if name in shipped_models():
        return SHIPPED / name
    return folder / name if folder and name in trained_models() and (folder / name / CONFIG).is_file() else None


def find_trained(name: str) -> Path | None:
    """Return the model folder of the trained model `name`; None: there is none.

    The package comes first, then the Hub, then `weights/`, which is used with a warning if the Hub does not answer.

    Raises:
        BadInputError: it is on the Hub alone, and cannot be fetched.
    """
    here = find_here(name)
    if name not in ON_HUB or name in shipped_models():
        return here
    try:
        return fetch_model(HubModel(ON_HUB[name]))
    except BadInputError as error:
        if here is None:
            raise
        LOG.warning("%s; %s is used", error, here)
        return here
