"""nextframe push: a run's model to the Hugging Face Hub, with a card."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Device, Plugin, Quiet, be_quiet, load_plugins


def push(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    name: Annotated[str, typer.Argument(metavar="USER/NAME", help="Where on the Hub; made if it is not there.")],
    revision: Annotated[str | None, typer.Option(help="A branch; the main one by default.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    licence: Annotated[str, typer.Option("--license", help="Of the weights: an identifier of the Hub.")] = "apache-2.0",
    clips: Annotated[int | None, typer.Option(min=1, help="Measure this many clips of the test split only.")] = None,
    folder: Annotated[
        Path | None, typer.Option("-o", "--output", help="Write what would be pushed to this folder; push nothing.")
    ] = None,
    plugin: Plugin = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Measure a run's model beside the baselines, write its model card, and put both on the Hugging Face Hub."""
    from nextframe.publish import push as push_run
    from nextframe.publish import write_shared

    be_quiet(quiet)
    load_plugins(plugin)
    if folder is not None:
        typer.echo(str(write_shared(run, folder, name, licence=licence, clips=clips, device=device) / "README.md"))
        return
    address = push_run(run, name, revision=revision, private=private, licence=licence, clips=clips, device=device)
    typer.echo(f"{address}  (licence {licence}; nextframe.load('{name}') gives the model)")
