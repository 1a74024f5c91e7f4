"""A model folder: config.json names the model and its settings, model.safetensors holds its tensors.

Nothing in the folder is executed: only JSON and tensors, no pickle.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nextframe import __version__
from nextframe.checkpoint.formats import MODEL_FORMATS
from nextframe.core.errors import BadInputError, UnknownNameError, UserError
from nextframe.core.files.atomic import replaced_folder, settled
from nextframe.core.files.room import room_for
from nextframe.core.files.whole_file import sha256_of
from nextframe.models import MODELS
from nextframe.models.contract import Predictor, TrainedTask
from nextframe.models.wrap import WRAPPED, Module, Wrapped, rebuilt

CONFIG, WEIGHTS = "config.json", "model.safetensors"
_MAX_CONFIG_BYTES = 1 << 20
_SHAPE_EXAMPLES = 3


def model_name(model: Predictor) -> str:
    """Return what tables call `model`: the name under which its class is registered, or that of a wrapped module.

    Raises:
        UserError: the class is not registered, so a folder could not say how to rebuild it.
    """
    name = MODELS.name_of(type(model))
    if name is None and type(model) is Wrapped:
        return model.config.name
    if name is None:
        raise UserError(
            f"{type(model).__name__} is not a registered model: put @nextframe.register('{_kebab(model)}') above it"
        )
    return name


def registered_name(model: Predictor) -> str:
    """Return the name by which a folder or a recipe rebuilds `model`; UserError as for `model_name`."""
    return WRAPPED if type(model) is Wrapped else model_name(model)


def save_model(
    model: Predictor,
    folder: str | os.PathLike[str],
    *,
    task: TrainedTask | None = None,
    training: Mapping[str, Any] | None = None,
    half: bool = False,
) -> Path:
    """Write `model` as a folder that `load_model` can read; an older model folder is replaced.

    Args:
        model: a model of the registry, on any device.
        folder: where; its parents are made.
        task: what it was trained for; None: the model's own `trained`.
        training: further facts to store, plain JSON values (steps, loss, data, seed).
        half: store float weights in half precision, rounded to 11 bits: half the size, for models that are shipped.

    Raises:
        BadInputError: `folder` exists and holds something else than a model.
        UserError: with `half`, a weight that is too large for it.
    """
    folder = Path(folder)
    _check_replaceable(folder)
    task = task or model.trained
    facts = {
        "format": MODEL_FORMATS.newest,
        "nextframe": __version__,
        "model": registered_name(model),
        "config": model.config.model_dump(mode="json"),
        "task": None if task is None else task.model_dump(mode="json"),
        "training": dict(training or {}),
    }
    tensors = _plain_tensors(model, half)
    with room_for(folder / WEIGHTS, sum(tensor.nbytes for tensor in tensors.values())), replaced_folder(folder) as new:
        save_file(tensors, new / WEIGHTS)
        os.chmod(new / WEIGHTS, 0o666 & ~_umask())  # safetensors makes it for its owner alone
        facts["weights_sha256"] = sha256_of(new / WEIGHTS)
        (new / CONFIG).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    return folder


def load_model(folder: str | os.PathLike[str], *, module: Module | None = None) -> Predictor:
    """Return the model of a model folder, or of a run folder (its model/ inside), in eval mode on the CPU.

    Args:
        folder: where it lies.
        module: the code of a wrapped module, or its class; the weights of the folder go into it.

    Raises:
        BadInputError: not a model folder, a config or weights file that is damaged, of an unknown format or
            model, or whose tensors are not exactly the model's.
    """
    folder = find_model_folder(folder)
    facts = read_config(folder)
    model = _build(folder / CONFIG, facts, module)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise BadInputError(weights, "is missing, so the model has no weights", "copy the whole model folder")
    try:
        _check_tensors(weights, model)
        _check_sum(weights, facts)
        model.load_state_dict(load_file(weights))
        _check_finite(weights, model)
    except (SafetensorError, OSError) as error:
        raise BadInputError(weights, f"is damaged or truncated ({error})", "copy or train it again") from None
    return model.eval()


def take_weights(model: Predictor, folder: str | os.PathLike[str]) -> Predictor:
    """Put the weights of a run or model folder into `model`, which is of the same class and config, and return it.

    Raises:
        BadInputError: as for `load_model`.
    """
    stored = load_model(folder, module=deepcopy(model.module) if type(model) is Wrapped else None)
    model.load_state_dict(stored.state_dict())
    model.trained = stored.trained
    return model.eval()


def _kebab(model: Predictor) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", type(model).__name__).lower()


def find_model_folder(folder: str | os.PathLike[str]) -> Path:
    """Return the folder that holds config.json: `folder` itself or its model/, else a BadInputError."""
    folder = Path(folder)
    for candidate in (settled(folder), settled(folder / "model")):
        if (candidate / CONFIG).is_file():
            return candidate
    if not folder.exists():
        raise BadInputError(folder, "no such model or run folder")
    if not folder.is_dir():
        raise BadInputError(folder, "is a file", f"give the folder that holds {CONFIG} and {WEIGHTS}")
    raise BadInputError(folder, f"has no {CONFIG}", "give a run folder or a model folder of nextframe")


def read_config(folder: Path) -> dict[str, Any]:
    """Return what config.json of a model folder says, in the newest format."""
    path = folder / CONFIG
    if path.stat().st_size > _MAX_CONFIG_BYTES:
        raise BadInputError(path, "is over 1 MiB, so it is not a model config")
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise BadInputError(path, f"is not JSON ({error})") from None
    if not isinstance(facts, dict) or "format" not in facts:
        raise BadInputError(path, "is not a nextframe model config: it has no field 'format'")
    fix = f"use the nextframe that wrote it: pip install {_pin(facts)}"
    return {"format": MODEL_FORMATS.newest, **MODEL_FORMATS.migrate(facts, path, fix)}


def _made_by(facts: dict[str, Any]) -> str:
    """Return the version that wrote a config, as text that is safe to show."""
    version = facts.get("nextframe")
    return version if isinstance(version, str) and len(version) < 30 and version.isprintable() else "unknown"


def _pin(facts: dict[str, Any]) -> str:
    made_by = _made_by(facts)
    return "--upgrade nextframe" if made_by in ("unknown", __version__) else f"nextframe=={made_by}"


def _advice(facts: dict[str, Any]) -> str:
    """Return what to do about a config that this version does not understand; "" if this version wrote it."""
    made_by = _made_by(facts)
    if made_by in ("unknown", __version__):
        return ""
    return f"nextframe {made_by} wrote it, this is {__version__}: pip install {_pin(facts)}"


def _build(path: Path, facts: dict[str, Any], module: Module | None) -> Predictor:
    name, fields, task = facts.get("model"), facts.get("config"), facts.get("task")
    if not isinstance(name, str) or not isinstance(fields, dict):
        raise BadInputError(path, "needs a text field 'model' and an object 'config'")
    if task is not None and not isinstance(task, dict):
        raise BadInputError(path, "field 'task' must be an object or null")
    kind = None if name == WRAPPED else _kind(name, path, facts)
    if kind is not None and module is not None:
        raise UserError(f"{path.parent}: holds '{name}', which brings its own code: omit module=")
    try:
        with torch.random.fork_rng(devices=[]):  # initial weights are overwritten: loading draws nothing
            model = kind(kind.Config.parse(fields)) if kind else rebuilt(fields, module, str(path.parent))
        model.trained = None if task is None else TrainedTask.parse(task)
    except BadInputError:
        raise
    except (UserError, ValueError, RuntimeError, MemoryError) as error:
        raise BadInputError(path, str(error), _advice(facts)) from None
    return model


def _kind(name: str, path: Path, facts: dict[str, Any]) -> type[Predictor]:
    try:
        kind: type[Predictor] = MODELS.get(name)
    except UnknownNameError as error:
        plugin = f"its file is wanted: --plugin FILE.py that has '{name}'"
        raise BadInputError(path, str(error), "; ".join(filter(None, [plugin, _advice(facts)]))) from None
    return kind


def _plain_tensors(model: Predictor, half: bool) -> dict[str, Tensor]:
    """Copy the state to contiguous CPU tensors: safetensors takes neither views nor shared memory."""
    state = {name: value.detach().to("cpu", copy=True).contiguous() for name, value in model.state_dict().items()}
    return {name: _halved(name, value) for name, value in state.items()} if half else state


def _halved(name: str, value: Tensor) -> Tensor:
    """Return a tensor of floats in half precision, and any other as it is."""
    if not value.is_floating_point():
        return value
    halved = value.half()
    if bool((halved.isinf() & value.isfinite()).any()):
        raise UserError(f"tensor '{name}' has {value.abs().max():g}, too large for half precision: save it whole")
    return halved


def _check_finite(weights: Path, model: Predictor) -> None:
    """Refuse weights that are not finite: what they predict is black, and nothing says why."""
    bad = next((name for name, value in model.named_parameters() if not bool(torch.isfinite(value).all())), None)
    if bad is not None:
        raise BadInputError(
            weights, f"tensor '{bad}' has values that are not finite", "train it again, or copy it again"
        )


def _umask() -> int:
    """Return which permissions new files do not get; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _check_tensors(weights: Path, model: Predictor) -> None:
    """Compare names and shapes with the model's before any tensor is read into memory."""
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    with safe_open(weights, framework="pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    missing, unexpected = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        _refuse(weights, f"lacks {_examples(missing)}")
    if unexpected:
        _refuse(weights, f"has {_examples(unexpected)}, which the model does not")
    for name, shape in expected.items():
        if found[name] != shape:
            _refuse(weights, f"tensor '{name}' is {found[name]}, the config asks for {shape}")


def _check_sum(weights: Path, facts: dict[str, Any]) -> None:
    if "weights_sha256" not in facts:
        raise BadInputError(
            weights.with_name(CONFIG), "lacks the field 'weights_sha256'", "copy the whole model folder"
        )
    expected = facts["weights_sha256"]
    if expected is not None and sha256_of(weights) != expected:
        what = f"is damaged or of another save: its checksum differs from {CONFIG}"
        raise BadInputError(weights, what, "copy the whole model folder again")


def _examples(names: list[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:_SHAPE_EXAMPLES])
    more = len(names) - _SHAPE_EXAMPLES
    return f"tensor {shown}" + (f" and {more} more" if more > 0 else "")


def _refuse(path: Path, what: str) -> NoReturn:
    raise BadInputError(path, what, "use the files of one save, with the nextframe that wrote them")


def _check_replaceable(folder: Path) -> None:
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BadInputError(folder, "is a file", "give a new folder")
    others = sorted(path.name for path in folder.iterdir() if path.name not in (CONFIG, WEIGHTS))
    if others:
        raise BadInputError(folder, f"holds other things ('{others[0]}')", "give a new folder for the model")
