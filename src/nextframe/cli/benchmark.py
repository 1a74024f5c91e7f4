"""nextframe benchmark: many models on one fixed task, a row for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Device, Plugin, Quiet, be_quiet, load_plugins, parse_names


def benchmark(
    task: Annotated[str | None, typer.Argument(help="One of the tasks; without it they are listed.")] = None,
    models: Annotated[
        str | None, typer.Option(help="Models, recipes or recipe files, with commas between; all that fit by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A path, or several with commas between, where the task wants one.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Training for each model; the task's own by default.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps for each model, instead of minutes.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Folder of the rows; resumed.")] = None,
    plugin: Plugin = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train and measure models on a fixed task, row by row; done rows stay, a killed training goes on.

    Under torchrun or SLURM each process takes its share of the rows.
    """
    from nextframe.benchmark import TASKS, budget_of, take_share
    from nextframe.benchmark import benchmark as make_rows
    from nextframe.core.whole_file import check_folder

    be_quiet(quiet)
    if task is None:
        _list()
        return
    share = take_share()
    load_plugins(plugin)
    chosen = TASKS.get(task)
    output = output or Path("benchmarks") / task
    names = parse_names(models) if models else None
    check_folder(output)
    rows = make_rows(
        chosen,
        output,
        data=data,
        models=names,
        budget=budget_of(chosen, minutes, steps),
        device=device,
        share=share,
        show=not quiet,
    )
    for path in rows:
        typer.echo(str(path))


def _list() -> None:
    from nextframe.benchmark import TASKS, budget_of

    for name in TASKS:
        task = TASKS.get(name)
        budget = ", ".join(f"{value:g} {unit}" for unit, value in budget_of(task).items())
        typer.echo(f"{name}: {task.about}")
        typer.echo(
            f"    data: {f'--data, {task.wants}' if task.wants else 'its own'}; training: {budget} for each model"
        )
        typer.echo(f"    metrics: {', '.join(task.metrics)}")
