"""The one folder for what can be made or fetched again: downloads, indexes of videos."""

from __future__ import annotations

import os
from pathlib import Path

from nextframe.core.quiet import import_bars

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

    Torch's own place is a temporary folder, which many machines empty when they start. $TORCHINDUCTOR_CACHE_DIR goes
    first.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
