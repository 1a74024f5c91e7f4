"""nextframe latent: pictures of a model's latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import (
    Context,
    Digits,
    Horizon,
    Plugin,
    Quiet,
    Seed,
    Size,
    Stride,
    be_quiet,
    check_split,
    data_settings,
    load_plugins,
)


def latent(
    model: Annotated[str, typer.Argument(metavar="RUN", help="A run folder of an autoencoder or latent-lstm.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder for the pictures.")] = Path("latent"),
    data: Annotated[str | None, typer.Option(help="A data set or a path; the run's own by default.")] = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    context: Context = None,
    horizon: Horizon = None,
    size: Size = None,
    stride: Stride = None,
    digits: Digits = None,
    plugin: Plugin = None,
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """Draw what a latent space keeps of frames, what lies between two, and primed and free predictions."""
    from nextframe.data import open_data
    from nextframe.prediction.latent_pictures import draw_latents
    from nextframe.training import evaluation_data

    be_quiet(quiet)
    load_plugins(plugin)
    clips = open_data(evaluation_data(model, data_settings(data, digits, context, horizon, size, stride)))
    for path in draw_latents(model, clips, check_split(split), output, seed):
        typer.echo(str(path))
