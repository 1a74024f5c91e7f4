"""nextframe sweep: many trainings with other settings, and the best of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nextframe.cli.options import (
    Context,
    Horizon,
    Plugin,
    Quiet,
    Root,
    Set,
    Size,
    TrainData,
    What,
    begin,
    data_settings,
    training_settings,
)
from nextframe.cli.sections import only, read_settings
from nextframe.cli.train import check_data, size_unsaid


def sweep(
    what: What,
    over: Annotated[
        list[str], typer.Option(metavar="FIELD=A,B,C|LOW..HIGH[:log]", help="A setting and its values; repeatable.")
    ],
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings in all.", show_default="every combination; 20 if there is a range"),
    ] = None,
    data: TrainData = None,
    root: Root = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The sweep's folder.", show_default="sweeps/NAME, sweeps/NAME-2, ..."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Training steps of each; or give --minutes.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Minutes of each; or give --steps.")] = None,
    size: Size = None,
    context: Context = None,
    horizon: Horizon = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the sweep in -o; more --trials: add some.")
    ] = False,
    setting: Set = None,
    device: Annotated[str | None, typer.Option(hidden=True)] = None,
    seed: Annotated[int | None, typer.Option(hidden=True)] = None,
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Train with other settings again and again, and keep the best on the val split; a run folder for each trial.

    Examples:
    nextframe sweep compact --data my_videos/ --size 64x64 --steps 500 --over model.width=32,64,96 -o sweeps/width
    nextframe sweep compact --data my_videos/ --over training.lr=1e-4..1e-2:log -o sweeps/lr
    nextframe sweep compact --data my_videos/ --over training.lr=1e-4..1e-2:log -o sweeps/lr --resume --trials 30
    """
    from nextframe.core.errors import UserError
    from nextframe.core.files.whole_file import free_name
    from nextframe.recipes import load_recipe
    from nextframe.training import override
    from nextframe.training.sweep.space import read_words
    from nextframe.training.sweep.sweep import sweep as sweep_recipe

    begin(quiet, plugin)
    if resume and output is None:
        raise UserError("--resume goes on with a sweep: give its folder, -o sweeps/NAME")
    settings: dict[str, Any] = data_settings(data, root, context, horizon, size)
    settings |= training_settings(steps=steps, minutes=minutes, seed=seed, device=device)
    settings |= only(read_settings("sweep", setting), "model", "data", "training")
    check_data(what, settings)
    folder = output or free_name(Path("sweeps"), Path(what).stem)
    base = load_recipe(what)
    recipe = override(base, settings | size_unsaid(what, base, settings))
    found = sweep_recipe(recipe, read_words(over), folder, trials=trials, resume=resume, show=not quiet)
    typer.echo(str(found))
    typer.echo(f"{found.best}  (nextframe evaluate {found.best}; nextframe train {folder}/best.yaml)")
