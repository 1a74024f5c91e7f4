"""What is added from outside of the package: by a user's file (`--plugin my_file.py`) or an installed package.

A plugin file is Python that the user chose to run. It adds models, data sets, metrics, tasks, recipes, optimizers,
schedules and trackers, each with `register`, or with `add` of their registry. A package says
`[project.entry-points."nextframe.models"]`, `name = "module:Class"`; GROUPS of the other kinds end in data, metrics,
tasks, recipes, optimizers, schedules and trackers.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar, get_args

from nextframe.core.errors import BadInputError, UnknownNameError, UserError
from nextframe.core.registry import Registry

Kind = Literal["model", "data", "metric", "task", "recipe", "optimizer", "schedule", "tracker"]
REGISTRIES: dict[Kind, str] = {  # paths, because the registries import this module
    "model": "nextframe.models:MODELS",
    "data": "nextframe.data:DATASETS",
    "metric": "nextframe.metrics:METRICS",
    "task": "nextframe.benchmark:TASKS",
    "recipe": "nextframe.recipes:RECIPES",
    "optimizer": "nextframe.training.optim.optimizer:OPTIMIZERS",
    "schedule": "nextframe.training.optim.schedule:SCHEDULES",
    "tracker": "nextframe.training.track.registry:TRACKERS",
}
LOADED: dict[str, list[tuple[Kind, str]]] = {}  # what each file added, by the name of its module
FILES: dict[str, str] = {}  # the path of each file, by the same name
Thing = TypeVar("Thing")


def register(name: str, kind: Kind = "model") -> Callable[[Thing], Thing]:
    """Return a decorator that registers what it decorates, or is called with, under `name`.

    Args:
        name: what users will write.
        kind: "model" (a class that extends Predictor), "data" (a function of a DataConfig that returns a ClipSet),
            "metric" (a Metric), "task" (a BenchmarkTask), "recipe" (a Recipe), "optimizer" (a function of parameters,
            rate, weight decay and the objective's OptimizerDefaults), "schedule" (a function of progress and warmup) or
            "tracker" (a function of a Tracked that returns a Tracker).

    Raises:
        UserError: an unknown kind; when it is applied, a name that is taken or an object of another kind.
    """
    registry = registry_of(kind)

    def add(thing: Thing) -> Thing:
        if name in registry:
            owner = f"{thing.__module__}.{getattr(thing, '__qualname__', type(thing).__name__)}"
            raise UserError(f"{registry.kind} '{name}' of {owner}: the name is taken; choose another")
        registry.add(name, thing)
        return thing

    return add


def registry_of(kind: Kind) -> Registry[Any]:
    """Return the registry of `kind`; UnknownNameError if there is no such kind."""
    if kind not in REGISTRIES:
        raise UnknownNameError("kind", kind, get_args(Kind))
    module, _, attribute = REGISTRIES[kind].partition(":")
    registry: Registry[Any] = getattr(importlib.import_module(module), attribute)
    return registry


def load_plugin(path: str | os.PathLike[str]) -> list[str]:
    """Run the Python file `path` and return the names that it registered; a second time does nothing.

    Raises:
        BadInputError: no such file, an error in it (the line says which and where), a name that is taken, an
            object that is not of the kind it is registered as, or nothing registered. Nothing of the file is then kept.
    """
    path = Path(path).resolve()
    module_name = f"nextframe_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if _still_there(module_name):
        return [name for _, name in LOADED[module_name]]
    before = {kind: registry_of(kind).names() for kind in REGISTRIES}
    try:
        _run(path, module_name)
        added = [(kind, name) for kind in REGISTRIES for name in registry_of(kind) if name not in before[kind]]
        _check(path, added)
    except UserError:
        sys.modules.pop(module_name, None)
        for kind, names in before.items():
            registry_of(kind).keep(names)
        raise
    LOADED[module_name], FILES[module_name] = added, str(path)
    return [name for _, name in added]


def loaded_files() -> list[str]:
    """Return the paths of the plugin files whose names are registered, for a new process to load them too."""
    return [FILES[module] for module in LOADED if _still_there(module)]


def _still_there(module_name: str) -> bool:
    return module_name in LOADED and all(name in registry_of(kind) for kind, name in LOADED[module_name])


def _run(path: Path, module_name: str) -> ModuleType:
    """Import the file as a module, so that its classes can be pickled and found again."""
    if not path.is_file():
        raise BadInputError(path, "no such plugin file")
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise BadInputError(path, "is not a Python file", "give a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise BadInputError(path, str(error)) from error
    except Exception as error:  # any error of the user's own code is the user's to fix
        raise BadInputError(path, _where(error, path)) from error
    return module


def _where(error: Exception, path: Path) -> str:
    """Return "line 3: NameError: ..." for an error that left the file `path`."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {lines[-1] if lines else '?'}: {type(error).__name__}: {error}"


def _check(path: Path, added: list[tuple[Kind, str]]) -> None:
    if not added:
        raise BadInputError(path, "registers nothing", 'put @register("name") above a model\'s class')
    for kind, name in added:
        try:
            registry_of(kind).get(name)
        except UserError as error:
            raise BadInputError(path, str(error)) from error
        except (ImportError, AttributeError) as error:
            raise BadInputError(path, f"{registry_of(kind).kind} '{name}': {error}") from error
