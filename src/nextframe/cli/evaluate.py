"""nextframe evaluate: a model on a split, with baselines; JSON and an HTML report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import (
    Context,
    Device,
    Horizon,
    JsonFile,
    Plugin,
    Quiet,
    Root,
    Seed,
    Set,
    Size,
    begin,
    check_files,
    check_split,
    complete_models,
    data_settings,
    parse_names,
)
from nextframe.cli.sections import only, read_settings, section

Model = Annotated[
    str,
    typer.Argument(
        metavar="RUN_OR_MODEL",
        help="A run folder, a baseline's name, or user/name on the Hub.",
        autocompletion=complete_models,
    ),
]
Metrics = Annotated[
    str | None, typer.Option(help="Names separated by commas, the main one first; NAME-moving: only moving pixels.")
]


def evaluate(
    model: Model,
    data: Annotated[str | None, typer.Option(help="A data set or a path; a run's own by default.")] = None,
    root: Root = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    clips: Annotated[int | None, typer.Option(min=1, help="Only this many, evenly spaced over the split.")] = None,
    context: Context = None,
    horizon: Horizon = None,
    size: Size = None,
    metrics: Metrics = None,
    samples: Annotated[int, typer.Option(min=1, help="Futures per clip, of a stochastic model.")] = 1,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained report to this file.")] = None,
    json_file: JsonFile = None,
    setting: Set = None,
    seed: Seed = 0,
    device: Device = "auto",
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Measure a model on a split, closed loop, at every horizon step, together with every baseline.

    Examples:
    nextframe evaluate runs/mine --html report.html
    nextframe evaluate flow --data my_videos/ --size 64x64 --metrics psnr,ssim,psnr-moving
    nextframe evaluate runs/mine --horizon 20 --set evaluate.compat=openstl --json rows.json
    """
    from nextframe.cli.configs import EvaluateConfig
    from nextframe.evaluation import evaluate as evaluate_model
    from nextframe.evaluation import show_evaluation, write_report
    from nextframe.training import evaluation_data

    begin(quiet, plugin)
    check_files(json_file, html)
    more = read_settings("evaluate", setting)
    config = EvaluateConfig.parse(section(more, "evaluate"), "evaluate")
    settings = data_settings(data, root, context, horizon, size) | only(more, "data")
    evaluation = evaluate_model(
        model,
        evaluation_data(model, settings),
        check_split(split),
        metrics=None if metrics is None else parse_names(metrics),
        clips=clips,
        batch=config.batch,
        compat=config.compat,
        seed=seed,
        device=device,
        examples=0 if html is None else 6,
        samples=samples,
        options=section(more, "options"),
    )
    if json_file is not None:
        evaluation.write_json(json_file)
    if html is not None:
        write_report(evaluation, evaluation.examples, html, title=f"{evaluation.model}, {split} split")
    show_evaluation(evaluation)
