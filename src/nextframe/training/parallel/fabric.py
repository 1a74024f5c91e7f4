"""Lightning Fabric, imported without what it does not need here, and silent where it only informs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def ready_fabric() -> None:
    """Import Fabric, and keep its information (precision, processes) and guesses (an `srun` on the path) from users.

    Its warnings of what is wrong still come. To be called before anything of it is imported.
    """
    with _absent("torchmetrics"):  # it asks for the version only: reading that in takes seconds
        from lightning_fabric.utilities.warnings import disable_possible_user_warnings
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    disable_possible_user_warnings()


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Let `package` seem not to be installed, unless it is imported already."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # so Python marks what must not be imported
    try:
        yield
    finally:
        del sys.modules[package]
