"""nextframe benchmark: many models on one fixed task, one row each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Device, Plugin, Quiet, begin, parse_names


def benchmark(
    task: Annotated[str | None, typer.Argument(help="A task; without it, the tasks are listed.")] = None,
    models: Annotated[
        str | None, typer.Option(help="Models, recipes or recipe files, separated by commas; all that fit by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A path, or several separated by commas, for a task that needs one.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(help="Training time per model; the task's own by default.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training steps per model, instead of --minutes.")] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of the rows.", show_default="benchmarks/TASK"),
    ] = None,
    plugin: Plugin = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train and measure models on a fixed task, row by row. A second call continues where the first was stopped.

    Under torchrun or SLURM each process takes its share of the rows.

    Examples:
    nextframe benchmark
    nextframe benchmark gif-next --data my_gifs/ --minutes 5 -o benchmarks/gifs
    torchrun --nproc-per-node 4 -m nextframe benchmark gif-next --data my_gifs/
    """
    from nextframe.benchmark import TASKS, budget_of, take_share
    from nextframe.benchmark import benchmark as make_rows
    from nextframe.core.files.whole_file import check_folder

    begin(quiet, plugin)
    if task is None:
        _list()
        return
    share = take_share()
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
