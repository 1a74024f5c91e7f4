"""Models that live outside of the package: in a user's file (`--plugin my_model.py`) or in an installed package.

A plugin file is Python that the user chose to run. It adds its models with the decorator `register`, or with
`MODELS.add(name, Class)`. A package says `[project.entry-points."nextframe.models"]`, `name = "module:Class"`.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from nextframe.core.errors import BadInputError, UserError
from nextframe.core.registry import Registry

if TYPE_CHECKING:
    from nextframe.models.contract import Predictor

GROUP = "nextframe.models"
LOADED: dict[str, list[str]] = {}  # the models of each file, by the name of its module
FILES: dict[str, str] = {}  # the path of each file, by the same name
Model = TypeVar("Model", bound="type[Predictor]")


def register(name: str) -> Callable[[Model], Model]:
    """Return a decorator that registers a model's class under `name`.

    Raises:
        UserError: the name is taken.
    """
    from nextframe.models import MODELS

    def add(model: Model) -> Model:
        _add(MODELS, name, model, f"{model.__module__}.{model.__qualname__}")
        return model

    return add


def load_plugin(path: str | os.PathLike[str]) -> list[str]:
    """Run the Python file `path` and return the names of the models that it registered; a second time does nothing.

    Raises:
        BadInputError: no such file, an error in it (the line says which and where), a name that is taken, a model
            that is no `Predictor`, or no model at all. Nothing of the file is then registered.
    """
    from nextframe.models import MODELS

    path = Path(path).resolve()
    module_name = f"nextframe_plugin_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if all(name in MODELS for name in LOADED.get(module_name, [""])):
        return LOADED[module_name]
    before = set(MODELS)
    try:
        _run(path, module_name)
        added = [name for name in MODELS if name not in before]
        _check(path, MODELS, added)
    except UserError:
        sys.modules.pop(module_name, None)
        MODELS.keep(before)
        raise
    LOADED[module_name], FILES[module_name] = added, str(path)
    return added


def loaded_files() -> list[str]:
    """Return the paths of the plugin files whose models are registered, for a new process to load them too."""
    from nextframe.models import MODELS

    return [FILES[module] for module, names in LOADED.items() if all(name in MODELS for name in names)]


def add_entry_points(models: Registry[Any]) -> None:
    """Register the models of installed packages; none is imported before it is asked for.

    Raises:
        UserError: a package's model has a name that is taken.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group=GROUP):
        owner = f"package {point.dist.name}" if point.dist else "an installed package"
        _add(models, point.name, point.value, owner)


def _add(models: Registry[Any], name: str, model: object, owner: str) -> None:
    if name in models:
        raise UserError(f"model '{name}' of {owner}: the name is taken; choose another")
    models.add(name, model)


def _run(path: Path, module_name: str) -> ModuleType:
    """Import the file as a module, so that its classes can be pickled and found again."""
    if not path.is_file():
        raise BadInputError(path, "no such plugin file")
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise BadInputError(path, "is no Python file", "give a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        raise BadInputError(path, str(error)) from error
    except Exception as error:  # whatever the user's own code raises is the user's to repair
        raise BadInputError(path, _where(error, path)) from error
    return module


def _where(error: Exception, path: Path) -> str:
    """Return "line 3: NameError: ..." for an error that left the file `path`."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"line {lines[-1] if lines else '?'}: {type(error).__name__}: {error}"


def _check(path: Path, models: Registry[Any], added: list[str]) -> None:
    from nextframe.models.contract import Predictor

    if not added:
        raise BadInputError(path, "registers no model", 'put @register("name") above the class')
    for name in added:
        try:
            model = models.get(name)
        except (ImportError, AttributeError) as error:
            raise BadInputError(path, f"model '{name}': {error}") from error
        if not (isinstance(model, type) and issubclass(model, Predictor)):
            raise BadInputError(path, f"'{name}' is no model", "register a class that extends Predictor")
