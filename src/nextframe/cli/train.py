"""nextframe train: a model or a recipe, on any data, into a run folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import (
    Context,
    Digits,
    Horizon,
    Kind,
    Plugin,
    Quiet,
    Root,
    Set,
    Size,
    Stride,
    be_quiet,
    check_files,
    data_settings,
    load_plugins,
)


def train(
    what: Annotated[str, typer.Argument(metavar="MODEL_OR_RECIPE", help="A model, a recipe, or a recipe.yaml.")],
    data: Annotated[str | None, typer.Option(help="A registered data set or a path; the recipe's by default.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="The run folder.")] = None,
    steps: Annotated[int | None, typer.Option(help="How many steps; or give --minutes.")] = None,
    minutes: Annotated[float | None, typer.Option(help="How long, in minutes.")] = None,
    batch: Annotated[int | None, typer.Option(help="Clips a step.")] = None,
    lr: Annotated[float | None, typer.Option(help="The (highest) learning rate.")] = None,
    context: Context = None,
    horizon: Horizon = None,
    size: Size = None,
    stride: Stride = None,
    kind: Kind = None,
    digits: Digits = None,
    root: Root = None,
    seed: Annotated[int | None, typer.Option(help="Decides everything random.")] = None,
    log_every: Annotated[int | None, typer.Option(help="Steps between log lines.")] = None,
    val_every: Annotated[int | None, typer.Option(help="Steps between validations.")] = None,
    checkpoint_every: Annotated[int | None, typer.Option(help="Steps between checkpoints.")] = None,
    precision: Annotated[str | None, typer.Option(help="auto, 32 or bf16.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that read clips; the run is the same.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps.")] = None,
    devices: Annotated[int, typer.Option(help="How many devices, one process each.")] = 1,
    stage_from: Annotated[
        list[str] | None,
        typer.Option("--stage-from", metavar="PART=RUN", help="Take a part, as autoencoder, from another run."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint, exactly.")] = False,
    report: Annotated[bool, typer.Option(help="Write report.html: val split, with baselines.")] = True,
    setting: Set = None,
    plugin: Plugin = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write the last line of metrics.jsonl there.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train a model or a recipe; the run folder holds all there is to know about it."""
    from nextframe.core.settings import parse_settings
    from nextframe.recipes import load_recipe
    from nextframe.training import override, parse_parts, read_recipe
    from nextframe.training import train as train_run

    be_quiet(quiet)
    load_plugins(plugin)
    check_files(json_file)
    folder = output or Path("runs") / Path(what).stem
    base = load_recipe(what)
    if resume and (folder / "recipe.yaml").exists():
        base = read_recipe(folder)
    training = {
        "steps": steps,
        "minutes": minutes,
        "batch": batch,
        "lr": lr,
        "seed": seed,
        "log_every": log_every,
        "val_every": val_every,
        "checkpoint_every": checkpoint_every,
        "precision": precision,
        "workers": workers,
        "device": device,
    }
    settings = data_settings(data, digits, context, horizon, size, stride, kind, root)
    settings |= {f"training.{name}": value for name, value in training.items() if value is not None}
    if stage_from:
        settings["training.stage_from"] = parse_parts(stage_from)
    recipe = override(base, settings | parse_settings(setting or []))
    train_run(recipe, folder, resume=resume, devices=devices, show=not quiet)
    if json_file is not None:
        _write_last_line(folder, json_file)
    if report:
        _report(folder, device or recipe.training.device)
    typer.echo(f"{folder}/model  (nextframe evaluate {folder}; nextframe predict VIDEO --model {folder} -o out.gif)")


def _write_last_line(folder: Path, json_file: Path) -> None:
    from nextframe.core.whole_file import write_whole
    from nextframe.training import read_metrics

    write_whole(json_file, json.dumps(read_metrics(folder)[-1]) + "\n")


def _report(folder: Path, device: str) -> None:
    from nextframe.training.report import report_validation

    report_validation(folder, device=device)
    typer.echo(f"{folder}/report.html")
