"""nextframe evaluate: a model on a split, baselines beside it; JSON and an HTML report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import (
    Context,
    Device,
    Digits,
    Horizon,
    JsonFile,
    Kind,
    Plugin,
    Quiet,
    Root,
    Seed,
    Size,
    Stride,
    Temperature,
    at_temperature,
    be_quiet,
    check_files,
    check_split,
    data_settings,
    load_plugins,
    parse_names,
)


def evaluate(
    model: Annotated[str, typer.Argument(metavar="RUN_OR_MODEL", help="A run folder, or a baseline's name.")],
    data: Annotated[str | None, typer.Option(help="A data set or a path; a run's own by default.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "test",
    clips: Annotated[int | None, typer.Option(min=1, help="Only so many, evenly spaced over the split.")] = None,
    context: Context = None,
    horizon: Horizon = None,
    size: Size = None,
    stride: Stride = None,
    kind: Kind = None,
    digits: Digits = None,
    root: Root = None,
    batch: Annotated[int, typer.Option(min=1, help="Clips at a time.")] = 16,
    samples: Annotated[int, typer.Option(min=1, help="Futures a clip, of a model that draws them.")] = 1,
    temperature: Temperature = None,
    metrics: Annotated[
        str | None, typer.Option(help="Names with commas, the main one first; psnr-moving: over the pixels that moved.")
    ] = None,
    compat: Annotated[str | None, typer.Option(help="openstl, mathieu or srivastava: their way, too.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a self-contained report to this file.")] = None,
    json_file: JsonFile = None,
    plugin: Plugin = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Measure a model on a split, closed loop, every horizon step, with every baseline beside it."""
    from nextframe.evaluation import DEFAULT_METRICS, show_evaluation, write_report
    from nextframe.evaluation import evaluate as evaluate_model
    from nextframe.training import evaluation_data

    be_quiet(quiet)
    load_plugins(plugin)
    check_files(json_file, html)
    settings = data_settings(data, digits, context, horizon, size, stride, kind, root)
    evaluation = evaluate_model(
        model,
        evaluation_data(model, settings),
        check_split(split),
        metrics=DEFAULT_METRICS if metrics is None else parse_names(metrics),
        clips=clips,
        batch=batch,
        compat=compat,
        seed=seed,
        device=device,
        examples=0 if html is None else 6,
        samples=samples,
        options=at_temperature(temperature),
    )
    if json_file is not None:
        evaluation.write_json(json_file)
    if html is not None:
        write_report(evaluation, evaluation.examples, html, title=f"{evaluation.model}, {split} split")
    show_evaluation(evaluation)
