"""Training state on disk: a kill at any moment leaves a whole checkpoint behind."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nextframe import __version__
from nextframe.checkpoint import replaced_folder
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.files.atomic import previous_of
from nextframe.core.files.formats import NewerFormatError
from nextframe.core.files.room import room_for
from nextframe.core.files.whole_file import sha256_of
from nextframe.training.folder.formats import CHECKPOINT_FORMATS

LOG = logging.getLogger(__name__)
STATE, FACTS = "state.pt", "checkpoint.json"  # the state; its format and checksum, which format 1 did not have


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain values) as `folder`/last, whole or not at all; the one before it is kept.

    Its "kernels", the choices of the run, stand among the facts, where they can be read.
    """
    state = dict(state)
    kernels = {"kernels": state.pop("kernels")} if "kernels" in state else {}
    path = folder / "last" / STATE
    with room_for(path, _bytes(state)), replaced_folder(folder / "last", keep_previous=True) as new:
        with (new / STATE).open("wb") as file:  # a file of Python's: its errors say what the system said
            torch.save(state, file)
        facts = {
            "format": CHECKPOINT_FORMATS.newest,
            "nextframe": __version__,
            "state_sha256": sha256_of(new / STATE),
            **kernels,
        }
        (new / FACTS).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return the newest undamaged state in `folder`, or None if a run was killed before its first checkpoint.

    A damaged checkpoint is passed over with a warning; one of an older format is brought up to date.

    Raises:
        BadInputError: there are checkpoints, but none of them can be read, or a newer nextframe wrote the last one.
    """
    last = folder / "last"
    found = [path for path in (last, previous_of(last)) if path.exists()]
    for path in found:
        try:
            return _read(path)
        except NewerFormatError:
            raise  # it is not damaged, so nothing older takes its place
        except Exception as error:  # noqa: BLE001  # torn bytes make the unpickler raise almost anything
            LOG.warning("%s cannot be read (%s): trying the one before it", path, _reason(error))
    if found:
        raise BadInputError(folder, "no checkpoint in it can be read", "start the run again in another folder")
    return None


def stored_kernels(folder: Path) -> dict[str, str]:
    """Return the kernels that the last checkpoint in `folder` names; none if there is none, or it is earlier."""
    facts = folder / "last" / FACTS
    found: dict[str, str] = json.loads(facts.read_text(encoding="utf-8")).get("kernels", {}) if facts.exists() else {}
    return found


def _bytes(state: Any) -> int:
    """Return the bytes of all tensors in nested values."""
    if isinstance(state, torch.Tensor):
        return state.nbytes
    inside = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_bytes, inside))


def _read(path: Path) -> dict[str, Any]:
    facts: dict[str, Any] = (
        json.loads((path / FACTS).read_text(encoding="utf-8")) if (path / FACTS).exists() else {"format": 1}
    )
    number = CHECKPOINT_FORMATS.check(facts["format"], path)
    if number > 1 and sha256_of(path / STATE) != facts["state_sha256"]:
        raise BadInputError(path / STATE, f"the checksum of {STATE} differs from the one in {FACTS}")
    state = torch.load(path / STATE, map_location="cpu", weights_only=True)
    kernels = {"kernels": dict(facts["kernels"])} if "kernels" in facts else {}
    return CHECKPOINT_FORMATS.migrate({**state, **kernels, "format": number}, path)


def _reason(error: Exception) -> str:
    return error.what if isinstance(error, BadInputError) else type(error).__name__


def check_weights(stored: Mapping[str, Any], model: nn.Module) -> None:
    """Refuse a checkpoint whose tensors have other names or shapes than the model's; UserError says which."""
    kept, own = (
        {name: tuple(getattr(value, "shape", ())) for name, value in one.items()}
        for one in (stored, model.state_dict())
    )
    other = next((name for name in {**own, **kept} if own.get(name) != kept.get(name)), None)
    if other is not None:
        what = f"'{other}' is {kept.get(other, 'missing')} there and {own.get(other, 'missing')} here"
        raise UserError(
            f"the checkpoint is of a model with another config ({what}): give that model, or another folder"
        )
