"""nextframe recipes: what there is to train, and all settings of one recipe before it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from nextframe.cli.options import Plugin, begin

if TYPE_CHECKING:
    from nextframe.cli.fields import Field
    from nextframe.training import Recipe


def recipes(
    name: Annotated[
        str | None, typer.Argument(help="A recipe, a model or a recipe.yaml; without it, all recipes.")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """List the recipes, or show one before it runs: every setting with type, default and meaning.

    Examples:
    nextframe recipes
    nextframe recipes keras-convlstm
    nextframe train keras-convlstm --set training.batch=8
    """
    from nextframe.cli.fields import show, table
    from nextframe.recipes import about, load_recipe

    begin(plugin=plugin)
    if name is None:
        _list()
        return
    recipe = load_recipe(name)
    line = about(name)
    typer.echo(f"{name}: {recipe.model.name} on {recipe.data.name}" + (f". {line}" if line else "") + "\n")
    show(table(fields_of(recipe), name))
    typer.echo(f"\nnextframe train {name} --set SETTING=VALUE changes one")


def fields_of(recipe: Recipe) -> list[Field]:
    """Return every setting of a recipe: of its model, its data and its training."""
    from nextframe.cli.fields import describe
    from nextframe.cli.sections import data_options
    from nextframe.models import MODELS

    model, data, training = MODELS.get(recipe.model.name).Config, recipe.data, recipe.training
    found = describe(model, recipe.model.fields, "model.")
    found += [field for field in describe(type(data), data.model_dump(), "data.") if field.name != "data.options"]
    options = data_options(data.name)
    found += describe(options, data.options, "data.options.") if options else []
    return found + describe(type(training), training.model_dump(), "training.")


def _list() -> None:
    from rich.table import Table

    from nextframe.cli.fields import show
    from nextframe.recipes import RECIPES, about

    made = Table("recipe", "model", "data", "what it is", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in RECIPES:
        recipe = RECIPES.get(name)
        made.add_row(name, recipe.model.name, recipe.data.name, about(name))
    show(made)
