"""The one folder for what can be made or fetched again: downloads, indexes of videos."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from nextframe.core.quiet import import_bars

LOG = logging.getLogger(__name__)
CACHE_VARIABLE = "NEXTFRAME_CACHE"


def cache_folder() -> Path:
    """Return the folder that downloads are kept in: $NEXTFRAME_CACHE, or else the platform's cache folder."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen).expanduser()
    import_bars()
    import pooch

    return Path(pooch.os_cache("nextframe"))


def keep_compiled() -> None:
    """Let what torch.compile makes from now on be kept in the cache folder, for later runs to take.

    Torch's own place is a temporary folder, which many machines empty when they start. It stays where pooch is missing,
    which knows the platform's cache folder; $TORCHINDUCTOR_CACHE_DIR goes first.
    """
    if "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    try:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_folder() / "compiled")
    except ImportError:
        LOG.info("pooch is not installed: torch keeps what it compiles in a temporary folder")
