"""nextframe quickstart: from nothing to a report in three minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Device, JsonFile, Quiet, Seed, begin, check_files


def quickstart(
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The run folder; must be new.", show_default="runs/quickstart, or -2, ..."),
    ] = None,
    digits: Annotated[
        str | None, typer.Option(help="mnist, fashion, or a path to idx files.", show_default="embedded")
    ] = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="Training time.", show_default="3")] = None,
    json_file: JsonFile = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a small model on moving digits for 3 minutes, compare it with baselines, and write a report with images.

    Examples:
    nextframe quickstart
    nextframe quickstart --minutes 1 -o runs/first
    """
    from nextframe.evaluation import show_evaluation
    from nextframe.recipes.quickstart import quickstart as run_quickstart
    from nextframe.training.folder.run_folder import next_folder

    begin(quiet)
    check_files(json_file)
    folder = output or next_folder("quickstart")
    evaluation = run_quickstart(folder, digits=digits, minutes=minutes, seed=seed, device=device, show=not quiet)
    if json_file is not None:
        evaluation.write_json(json_file)
    show_evaluation(evaluation)
    typer.echo(f"Open the report: {(folder / 'report.html').resolve()}")
