"""nextframe push: a run's model to the Hugging Face Hub, with a card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Device, Plugin, Quiet, begin


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    name: Annotated[str, typer.Argument(metavar="USER/NAME", help="The repository on the Hub; created if needed.")],
    revision: Annotated[str | None, typer.Option(help="A branch.", show_default="main")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    licence: Annotated[str, typer.Option("--license", help="The licence, as the Hub writes it.")] = "apache-2.0",
    clips: Annotated[int | None, typer.Option(min=1, help="Measure only this many clips of the test split.")] = None,
    folder: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write to this folder instead of pushing.")
    ] = None,
    plugin: Plugin = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Measure a run's model together with the baselines, write its model card, and put both on the Hugging Face Hub.

    Examples:
    nextframe push runs/mine user/mine --private
    nextframe push runs/mine user/mine -o folder
    """
    from nextframe.publish import push as push_run
    from nextframe.publish import write_shared

    begin(quiet, plugin)
    if folder is not None:
        typer.echo(str(write_shared(run, folder, name, licence=licence, clips=clips, device=device) / "README.md"))
        return
    address = push_run(run, name, revision=revision, private=private, licence=licence, clips=clips, device=device)
    typer.echo(f"{address}  (licence {licence}; nextframe.load('{name}') gives the model)")
