"""The app as a Hugging Face Space: a folder that runs by itself, with this package's source and the models in it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import distribution, version
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

import nextframe
from nextframe.checkpoint import (
    DEFAULT_MODEL,
    baseline_names,
    replaced_folder,
    resolve_model,
    save_model,
    shipped_models,
    trained_models,
)
from nextframe.checkpoint.hub import parse_hub_name
from nextframe.core.clip import Task
from nextframe.core.errors import BadInputError, NotSupportedError, UserError
from nextframe.core.files.whole_file import write_whole
from nextframe.models.contract import check_task

MODELS = "models"  # the folder of models that do not come with the package
SOURCE = Path(nextframe.__file__).parent
FORECAST = Task.forecast(1, 1)
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w-]+)["']""")


def write_space(folder: Path, models: Sequence[str] = ()) -> tuple[str, ...]:
    """Write all that a Space needs to the new `folder`; nothing of it is downloaded as this package from an index.

    `app.py` runs the app, `requirements.txt` has what the package needs, `nextframe/` is its source, with the models
    that come with it, and `models/` holds the others, found by the names of their folders. A model of the Hub is named
    only: the Space downloads it.

    Args:
        folder: empty or missing.
        models: what visitors may choose: names, run or model folders, user/name on the Hub; () for the trained ones.

    Returns:
        The models' names in the Space.

    Raises:
        BadInputError: a `folder` that is not empty.
        UserError: a model that is unknown, untrained, or does not predict following frames.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError(folder, "is not empty", "give a new folder")
    with replaced_folder(folder) as new:
        shutil.copytree(SOURCE, new / SOURCE.name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        usual = dict.fromkeys([DEFAULT_MODEL, *trained_models()])  # the page opens on what the first one predicts
        names = tuple(_placed(model, new) for model in models or usual)
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UserError(f"two models would be '{twice}' in the Space: rename one")
        _write_pages(new, names)
    return names


def _placed(model: str, space: Path) -> str:
    """Return the name of a model inside the Space, in which it then is unless the Hub has it."""
    if not Path(model).exists() and parse_hub_name(model) is not None:
        return model
    found = resolve_model(model)
    check_task(found, FORECAST, model)
    name, ours = Path(model).resolve().name, (*baseline_names(), *shipped_models())
    if model in ours and not Path(model).exists():
        return model
    if name in ours:
        raise UserError(f"{model}: a model called '{name}' comes with the package: rename the folder")
    if not (space / MODELS / name).exists():
        save_model(found, space / MODELS / name)
    return name


def _write_pages(space: Path, names: tuple[str, ...]) -> None:
    """Write the app, what it needs, the page of the Space, and the licence."""
    environment = Environment(loader=PackageLoader("nextframe", "publish"), undefined=StrictUndefined, trim_blocks=True)
    environment.keep_trailing_newline = True
    facts = {"models": names, "python": f"{sys.version_info.major}.{sys.version_info.minor}", "gradio": _gradio()}
    for name in ("app.py", "README.md"):
        write_whole(space / name, environment.get_template(f"space_{name}.j2").render(facts))
    write_whole(space / "requirements.txt", "".join(f"{line}\n" for line in needed(distribution("nextframe").requires)))
    if licence := distribution("nextframe").read_text("licenses/LICENSE"):
        write_whole(space / "LICENSE", licence)


def needed(requirements: Iterable[str] | None) -> list[str]:
    """Return the requirements of the package and of its extra [web], in order, without the marker of the extra."""
    found = []
    for line in requirements or ():
        extra = _EXTRA.search(line)
        if extra is None:
            found.append(line)
        elif extra[1] == "web":
            found.append(line.partition(";")[0].strip())
    return found


def _gradio() -> str:
    """Return the version of Gradio that is installed, with which the app is known to run."""
    try:
        return version("gradio")
    except ModuleNotFoundError:
        raise NotSupportedError("a Space needs the extra [web]: pip install 'nextframe[web]'") from None
