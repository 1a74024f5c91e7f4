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
    """List the models and those that come trained, or show one: its idea, its paper, and its fields.

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
            "Trained, for `nextframe predict VIDEO --model NAME`; the folder of each has its card.",
            "",
            "| name | model | what it is |",
            "|---|---|---|",
            *(f"| `{name}` | `{kind}` | {what} |" for name, kind, what in _trained()),
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
    ready = Table("ready to predict", "model", "what it is", box=None, pad_edge=False)
    for row in _trained():
        ready.add_row(*row)
    console.print()
    console.print(ready)
    console.print("\nnextframe models NAME shows one; nextframe recipes lists the recipes")


def _trained() -> list[tuple[str, str, str]]:
    """Return name, model and what it is of each trained model; of one that is not on this machine, its place."""
    from nextframe.checkpoint import find_here, trained_models
    from nextframe.checkpoint.folder import read_config
    from nextframe.checkpoint.weights import ON_HUB
    from nextframe.models import MODELS

    rows = []
    for name in trained_models():
        folder = find_here(name)
        if folder is None:
            rows.append((name, "", f"on the Hub: {ON_HUB[name]}"))
            continue
        facts = read_config(folder)
        kind = str(facts.get("model"))
        own = MODELS.get(kind).idea if kind in MODELS else ""
        rows.append((name, kind, str((facts.get("training") or {}).get("about") or own)))
    return rows


def _show_trained(console: Console, name: str, folder: Path) -> None:
    """Show what a trained model's folder says, and where its card is."""
    from nextframe.checkpoint.folder import read_config

    facts = read_config(folder)
    task, training = facts.get("task") or {}, facts.get("training") or {}
    console.print(f"{name}: {training.get('about') or 'trained weights'}")
    console.print(f"model: {facts.get('model')}; trained on: {task.get('data')}; licence: {training.get('licence')}")
    console.print(f"card: {folder / 'README.md'}")


def _show(console: Console, name: str) -> None:
    from nextframe.checkpoint import find_here
    from nextframe.cli.fields import describe, show, table
    from nextframe.models import MODELS, ORIGINALS

    folder = find_here(name)
    if folder is not None:
        _show_trained(console, name, folder)
        if name not in MODELS:
            return
    model = MODELS.get(name)
    console.print(f"{name}: {model.idea}")
    if model.when and name not in ORIGINALS:
        console.print(f"when: {model.when}")
    if model.paper:
        console.print(f"paper: {model.paper}")
    show(table(describe(model.Config, prefix="model.") + describe(model.Options, prefix="options.")))
