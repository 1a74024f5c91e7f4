"""nextframe models: what there is, and one model's idea, paper and fields."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextframe.cli.options import Plugin, begin, complete_models

if TYPE_CHECKING:
    from rich.console import Console


def models(
    name: Annotated[
        str | None, typer.Argument(help="A model; without it, all models.", autocompletion=complete_models)
    ] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the table of all models to this file.")] = None,
    plugin: Plugin = None,
) -> None:
    """List the models, or show one: its idea, its paper, and its fields with type, default and meaning.

    Examples:
    nextframe models
    nextframe models convlstm
    """
    from nextframe.core.terminal import plain_console

    begin(plugin=plugin)
    console = plain_console(soft_wrap=True)
    if markdown is not None:
        from nextframe.core.files.whole_file import write_whole

        write_whole(markdown, as_markdown())
        typer.echo(str(markdown))
    elif name is None:
        _list(console)
    else:
        _show(console, name)


def as_markdown() -> str:
    """Return every model and recipe of the registry as a Markdown page; `make docs` writes it."""
    from nextframe.checkpoint import needs_training
    from nextframe.models import MODELS, ORIGINALS
    from nextframe.recipes import RECIPES, about

    rows = [
        f"| `{name}` | {'trained' if needs_training(name) else 'baseline'} | {model.idea} | {model.paper} |"
        for name, model in ((name, MODELS.get(name)) for name in MODELS if name not in ORIGINALS)
    ]
    originals = [
        f"| `{name}` | `{model.original_of}` | {model.idea} | {model.paper} |"
        for name, model in ((name, MODELS.get(name)) for name in ORIGINALS)
    ]
    recipes = [
        f"| `{name}` | `{recipe.model.name}` | `{recipe.data.name}` | {about(name)} |"
        for name, recipe in ((name, RECIPES.get(name)) for name in RECIPES)
    ]
    return "\n".join(
        [
            "# Models and recipes",
            "",
            "Written by `make docs` from the registry.",
            "",
            "| model | kind | idea | paper |",
            "|---|---|---|---|",
            *rows,
            "",
            "The originals: the same models as papers, notebooks and public codes have them, with their faults.",
            "",
            "| model | of | what it is | source |",
            "|---|---|---|---|",
            *originals,
            "",
            "| recipe | model | data | what it is |",
            "|---|---|---|---|",
            *recipes,
            "",
        ]
    )


def _list(console: Console) -> None:
    from rich.table import Table

    from nextframe.checkpoint import needs_training
    from nextframe.models import MODELS, ORIGINALS

    table = Table("model", "", "idea", box=None, pad_edge=False)
    for name in sorted(MODELS, key=lambda name: name in ORIGINALS):
        kind = "original" if name in ORIGINALS else "trained" if needs_training(name) else "baseline"
        table.add_row(name, kind, MODELS.get(name).idea)
    console.print(table)
    console.print("\nnextframe models NAME shows one; nextframe recipes lists the recipes")


def _show(console: Console, name: str) -> None:
    from nextframe.cli.fields import describe, show, table
    from nextframe.models import MODELS

    model = MODELS.get(name)
    console.print(f"{name}: {model.idea}")
    if model.paper:
        console.print(f"paper: {model.paper}")
    show(table(describe(model.Config, prefix="model.") + describe(model.Options, prefix="options.")))
