"""nextframe benchmark: many models on one fixed task, one row each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nextframe.cli.options import Device, Plugin, Quiet, Set, begin, check_files, parse_names
from nextframe.cli.sections import read_settings, section

REAL = "real-next"
WANTS = "videos, GIFs, folders of frames or folders of them, separated by commas"
RIVALS = ("flow", "copy-last")  # what real-next compares every model with; gains are over the first


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
    setting: Set = None,
    plugin: Plugin = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train and measure models on a fixed task, row by row. A second call continues where the first was stopped.

    Under torchrun or SLURM each process takes its share of the rows. real-next trains nothing: one table of models
    that need no training, ship or are folders, in OUTPUT.json and OUTPUT.md.

    Examples:
    nextframe benchmark
    nextframe benchmark gif-next --data my_gifs/ --minutes 5 -o benchmarks/gifs
    nextframe benchmark real-next --data my_videos/ --models flow,linear -o results/real-next
    torchrun --nproc-per-node 4 -m nextframe benchmark gif-next --data my_gifs/
    """
    from nextframe.benchmark import TASKS, budget_of, take_share
    from nextframe.benchmark import benchmark as make_rows
    from nextframe.core.files.whole_file import check_folder

    begin(quiet, plugin)
    settings = read_settings("benchmark", setting)
    if task is None:
        _list()
        return
    if task == REAL:
        _check_no_training(minutes, steps)
        real = section(settings, "real")
        _real(data, parse_names(models) if models else None, real, output or Path("benchmarks") / task, device, quiet)
        return
    _check_no_settings(task, settings)
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


def _check_no_training(minutes: float | None, steps: int | None) -> None:
    from nextframe.core.errors import UserError

    if minutes is not None or steps is not None:
        raise UserError(f"{REAL} trains nothing: omit --minutes and --steps, and give the folder of a trained model")


def _check_no_settings(task: str, settings: dict[str, Any]) -> None:
    from nextframe.core.errors import UserError

    if settings:
        raise UserError(f"setting '{next(iter(settings))}': only {REAL} has settings, {task} is fixed")


def _real(
    data: str | None, models: list[str] | None, settings: dict[str, Any], output: Path, device: str, quiet: bool
) -> None:
    """Measure the models on real videos, and write both files."""
    from nextframe.benchmark.real import TASK, RealConfig, measure_real
    from nextframe.checkpoint import baseline_names, shipped_models
    from nextframe.core.errors import UserError

    if data is None:
        raise UserError(f"task {REAL} needs --data: {WANTS}")
    config = RealConfig.parse(settings, "real")
    check_files(*(output.with_name(f"{output.name}{ending}") for ending in (".json", ".md")))
    names = [*baseline_names(TASK), *shipped_models()] if models is None else models
    result = measure_real(names, data, rivals=RIVALS, config=config, device=device, show=not quiet)
    for path in result.write(output):
        typer.echo(str(path))


def _list() -> None:
    from nextframe.benchmark import TASKS, budget_of
    from nextframe.benchmark.real import ABOUT
    from nextframe.benchmark.real.measure import definitions

    for name in TASKS:
        task = TASKS.get(name)
        budget = ", ".join(f"{value:g} {unit}" for unit, value in budget_of(task).items())
        typer.echo(f"{name}: {task.about}")
        typer.echo(
            f"    data: {f'--data, {task.wants}' if task.wants else 'its own'}; training: {budget} for each model"
        )
        typer.echo(f"    metrics: {', '.join(task.metrics)}")
    typer.echo(f"{REAL}: {ABOUT}")
    typer.echo(f"    data: --data, {WANTS}; training: none")
    typer.echo(f"    metrics: {', '.join(definitions())}")
