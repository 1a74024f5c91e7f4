"""Training state on disk: a kill at any moment leaves a whole checkpoint behind."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from nextframe.checkpoint import replaced_folder
from nextframe.core.atomic import previous_of
from nextframe.core.errors import BadInputError

LOG = logging.getLogger(__name__)


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) as `folder`/last, whole or not at all; the one before it is kept."""
    with replaced_folder(folder / "last", keep_previous=True) as new:
        torch.save(state, new / "state.pt")


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return the newest whole state in `folder`, or None where a run was killed before its first checkpoint.

    Raises:
        BadInputError: there are checkpoints, but none of them can be read.
    """
    last = folder / "last"
    found = [path for path in (last, previous_of(last)) if path.exists()]
    for path in found:
        try:
            state: dict[str, Any] = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
            return state
        except Exception as error:  # noqa: BLE001  # torn bytes make the unpickler raise almost anything
            LOG.warning("%s cannot be read (%s): trying the one before it", path, type(error).__name__)
    if found:
        raise BadInputError(folder, "no checkpoint in it can be read", "start the run anew in another folder")
    return None
