"""nextframe benchmark: many models on one fixed task, one row each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nextframe.cli.options import Device, Plugin, Quiet, Set, begin, check_files, parse_names
from nextframe.cli.sections import read_settings, section

if TYPE_CHECKING:
    from nextframe.benchmark import SpeedTask, VideoTask
    from nextframe.benchmark.tasks import AnyTask

RIVALS = ("flow", "copy-last")  # what every model is compared with; gains are over the first


def benchmark(
    task: Annotated[str | None, typer.Argument(help="A task; without it, the tasks are listed.")] = None,
    models: Annotated[
        str | None, typer.Option(help="Models, recipes or recipe files, separated by commas; all that fit by default.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A path, or several separated by commas, for a task that needs or takes one.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="Training time per model, default the task's; 0: no training, only trained models."),
    ] = None,
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

    Under torchrun or SLURM each process takes its share of the rows. real-next, kitti-next, cityscapes-next,
    davis-next and vimeo-next train nothing: one table of models that need no training, ship or are folders, in
    OUTPUT.json and OUTPUT.md. speed measures seconds and memory, beside plain forms of the models: OUTPUT.json.

    Examples:
    nextframe benchmark
    nextframe benchmark gif-next --data my_gifs/ --minutes 5 -o benchmarks/gifs
    nextframe benchmark real-next --data my_videos/ --models flow,linear -o results/real-next
    nextframe benchmark speed --models convlstm,simvp --set speed.rounds=3
    torchrun --nproc-per-node 4 -m nextframe benchmark gif-next --data my_gifs/
    """
    from nextframe.benchmark import TASKS, BenchmarkTask, budget_of, take_share
    from nextframe.benchmark import benchmark as make_rows
    from nextframe.cli.configs import BenchmarkRun
    from nextframe.core.files.whole_file import check_folder

    begin(quiet, plugin)
    settings = read_settings("benchmark", setting)
    if task is None:
        _list()
        return
    chosen = TASKS.get(task)
    output = output or Path("benchmarks") / task
    names = parse_names(models) if models else None
    if not isinstance(chosen, BenchmarkTask):
        _check_no_training(task, minutes, steps)
        _measure(chosen, data, names, settings, output, device, not quiet)
        return
    _check_settings(task, settings, "run")
    run = BenchmarkRun.parse(section(settings, "run"), "run")
    share = take_share()
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
        ray=run.ray,
        workers=run.workers,
    )
    for path in rows:
        typer.echo(str(path))


def _check_no_training(task: str, minutes: float | None, steps: int | None) -> None:
    from nextframe.core.errors import UserError

    if minutes is not None or steps is not None:
        raise UserError(f"{task} trains nothing: omit --minutes and --steps, and give the folder of a trained model")


def _check_settings(task: str, settings: dict[str, Any], taken: str = "") -> None:
    """Refuse settings of other sections than the one that the task takes."""
    from nextframe.core.errors import UserError

    for key in settings:
        if key.partition(".")[0] != taken:
            fix = f"it takes {taken}.FIELD=VALUE" if taken else "omit it"
            raise UserError(f"setting '{key}': {task} is fixed; {fix}")


def _measure(
    task: VideoTask | SpeedTask,
    data: str | None,
    models: list[str] | None,
    settings: dict[str, Any],
    output: Path,
    device: str,
    show: bool,
) -> None:
    """Measure the models, on videos or for speed, and write what was found."""
    from nextframe.benchmark import RealConfig, SpeedTask, measure_videos
    from nextframe.checkpoint import baseline_names, shipped_for_video
    from nextframe.core.errors import UserError

    if isinstance(task, SpeedTask):
        _measure_speed(task, data, models, settings, output, device, show)
        return
    _check_settings(task.name, settings, "real")
    config = RealConfig.parse(section(settings, "real"), "real")
    if data is None:
        raise UserError(f"task {task.name} needs --data: {task.wants}")
    check_files(*(output.with_name(f"{output.name}{ending}") for ending in (".json", ".md")))
    names = [*baseline_names(task.task), *shipped_for_video(task.task)] if models is None else models
    rivals = RIVALS if task.compared else ()
    result = measure_videos(task, names, data, rivals=rivals, config=config, device=device, show=show)
    for path in result.write(output):
        typer.echo(str(path))


def _measure_speed(
    task: SpeedTask,
    data: str | None,
    models: list[str] | None,
    settings: dict[str, Any],
    output: Path,
    device: str,
    show: bool,
) -> None:
    """Measure seconds and memory, write the file and show the table."""
    from nextframe.benchmark import SpeedConfig, measure_speed
    from nextframe.core.errors import UserError

    if data is not None:
        raise UserError(f"{task.name} reads no clips: omit --data")
    _check_settings(task.name, settings, "speed")
    config = SpeedConfig.parse(section(settings, "speed"), "speed")
    check_files(output.with_name(f"{output.name}.json"))
    result = measure_speed(models, config, device, show)
    typer.echo(result.text())
    for path in result.write(output):
        typer.echo(str(path))


def _data(task: AnyTask) -> str:
    """Return where a task's clips come from, for the list."""
    if task.wants:
        return f"--data, {task.wants}"
    takes = getattr(task, "takes", "")
    return f"its own, or --data: {takes}" if takes else "its own"


def _list() -> None:
    from nextframe.benchmark import TASKS, BenchmarkTask, budget_of

    for name in TASKS:
        task = TASKS.get(name)
        training = "none"
        if isinstance(task, BenchmarkTask):
            budget = ", ".join(f"{value:g} {unit}" for unit, value in budget_of(task).items())
            training = f"{budget} for each model"
        typer.echo(f"{name}: {task.about}")
        typer.echo(f"    data: {_data(task)}; training: {training}")
        typer.echo(f"    metrics: {', '.join(task.metrics)}")
