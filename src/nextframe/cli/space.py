"""nextframe space: the folder of a Hugging Face Space that runs the app."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Quiet, begin, complete_models


def space(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL]...",
            help="What visitors may choose: names, run folders, or user/name on the Hub.",
            show_default="the trained models",
            autocompletion=complete_models,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for the Space.")] = Path("space"),
    quiet: Quiet = False,
) -> None:
    """Write a Hugging Face Space that runs the app: the package's source and the models are in the folder.

    Examples:
    nextframe space -o space
    nextframe space motion runs/mine user/name -o my-space
    """
    from nextframe.publish.space import write_space

    begin(quiet)
    names = write_space(output, models or ())
    upload = f"hf upload user/name {output} . --repo-type space"
    typer.echo(f"{output}  ({', '.join(names)}; try it: python {output}/app.py; publish it: {upload})")
