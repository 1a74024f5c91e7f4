"""nextframe quickstart: three minutes from nothing to a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Device, Digits, JsonFile, Quiet, be_quiet


def quickstart(
    output: Annotated[Path, typer.Option("-o", "--output", help="The run folder; must be new.")] = Path(
        "runs/quickstart"
    ),
    digits: Digits = None,
    minutes: Annotated[float | None, typer.Option(min=0.01, help="How long to train.")] = None,
    seed: Annotated[int, typer.Option(help="Decides everything random.")] = 0,
    json_file: JsonFile = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train a small model on moving digits for 3 minutes, compare it with baselines, write a report with pictures."""
    from nextframe.evaluation import show_evaluation
    from nextframe.recipes.quickstart import quickstart as run_quickstart

    be_quiet(quiet)
    evaluation = run_quickstart(output, digits=digits, minutes=minutes, seed=seed, device=device, show=not quiet)
    if json_file is not None:
        evaluation.write_json(json_file)
    show_evaluation(evaluation)
    typer.echo(f"Open the report: {(output / 'report.html').resolve()}")
