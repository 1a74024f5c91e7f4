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
