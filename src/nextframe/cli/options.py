"""Options that several verbs share, with their names and help in one place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from nextframe.data.clipset import Split


def complete_models(incomplete: str) -> list[str]:
    """Return the registered and trained models whose names begin with `incomplete`; the shell completes files."""
    from nextframe.checkpoint import trained_models
    from nextframe.models import MODELS

    return [name for name in dict.fromkeys([*MODELS, *trained_models()]) if name.startswith(incomplete)]


AUTO = "auto"  # --batch: as many clips as fit into memory
What = Annotated[
    str,
    typer.Argument(
        metavar="MODEL_OR_RECIPE", help="A model, a recipe or a recipe.yaml.", autocompletion=complete_models
    ),
]
TrainData = Annotated[
    str | None, typer.Option("--data", help="A registered data set, a path or hf:user/name; a recipe has its own.")
]
Root = Annotated[
    str | None,
    typer.Option(
        metavar="PATH", help="Your local copy of a registered data set, such as ucf101 or kth.", show_default="none"
    ),
]
Context = Annotated[int | None, typer.Option(help="Context frames.")]
Horizon = Annotated[int | None, typer.Option(help="Frames to predict.")]
Size = Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the frames, for example 64x64.")]
JsonFile = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the rows to this file.", show_default="not written"),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Any other setting; repeatable.", show_default="none"),
]

# Common options: `nextframe --help` shows them once for all verbs.
Device = Annotated[str, typer.Option(hidden=True)]
Seed = Annotated[int, typer.Option(hidden=True)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", hidden=True)]
Plugin = Annotated[list[Path] | None, typer.Option("--plugin", hidden=True)]


def begin(quiet: bool = False, plugin: list[Path] | None = None) -> None:
    """Do what the common options say, before the verb's own work: be quiet, and load the user's plugins."""
    import logging

    if quiet:
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger("nextframe").setLevel(logging.WARNING)  # so that no progress is written instead
    load_plugins(plugin)


def say_start(text: str, quiet: bool) -> None:
    """Tell a person at a terminal that the program works, before torch is imported, which takes seconds."""
    import sys

    from nextframe.core.terminal import visible

    if sys.stderr.isatty() and not quiet:
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()


def load_plugins(plugins: list[Path] | None) -> None:
    """Add what the user's own files register, before they are looked up by name."""
    from nextframe.core.plugins import load_plugin

    for plugin in plugins or []:
        load_plugin(plugin)


def check_files(*paths: Path | None) -> None:
    """Refuse output files that cannot be written, before any work."""
    from nextframe.core.files.whole_file import check_file

    for path in paths:
        if path is not None:
            check_file(path)


def parse_names(text: str) -> list[str]:
    """Return the names of "a, b", in order; none of an empty text."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_batch(batch: str | None) -> int | None:
    """Return the number of "16"; None of "auto", which is found later; a UserError for anything else."""
    from nextframe.core.errors import UserError

    if batch is None or batch == AUTO:
        return None
    if not batch.isdecimal() or not int(batch):
        raise UserError(f"--batch {batch}: give a number of clips, as 16, or auto: as many as fit into memory")
    return int(batch)


def parse_size(size: str | None) -> tuple[int, int] | None:
    """Return (height, width) of "64x96"; a UserError for anything else, a single number too."""
    from nextframe.core.errors import UserError

    if size is None:
        return None
    parts = size.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise UserError(f"--size '{size}': write HEIGHTxWIDTH, for example 64x64")
    return int(parts[0]), int(parts[1])


def check_split(split: str) -> Split:
    """Return `split` if it is one; else a UserError that says which there are."""
    from nextframe.core.errors import UnknownNameError

    if split not in ("train", "val", "test"):
        raise UnknownNameError("split", split, ("train", "val", "test"))
    return cast("Split", split)


def data_settings(
    data: str | None, root: str | None, context: int | None, horizon: int | None, size: str | None
) -> dict[str, object]:
    """Return the data options that were given, as dotted settings of a recipe."""
    given = {
        "data.name": data,
        "data.options.root": root,
        "data.context": context,
        "data.horizon": horizon,
        "data.size": parse_size(size),
    }
    return {name: value for name, value in given.items() if value is not None}


def training_settings(**given: object) -> dict[str, object]:
    """Return the training options that were given, by their fields, as dotted settings of a recipe."""
    return {f"training.{name}": value for name, value in given.items() if value is not None}
