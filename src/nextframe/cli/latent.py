"""nextframe latent: images of a model's latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import (
    Context,
    Horizon,
    Plugin,
    Quiet,
    Root,
    Seed,
    Set,
    Size,
    begin,
    check_split,
    data_settings,
)
from nextframe.cli.sections import read_settings


def latent(
    model: Annotated[str, typer.Argument(metavar="RUN", help="A run folder of an autoencoder or latent-lstm.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A folder for the images.")] = Path("latent"),
    data: Annotated[str | None, typer.Option(help="A data set or a path; the run's own by default.")] = None,
    root: Root = None,
    split: Annotated[str, typer.Option(help="train, val or test.")] = "val",
    gifs: Annotated[
        int, typer.Option(min=1, help="Animations of primed and free frames, of clips that --seed chooses.")
    ] = 1,
    context: Context = None,
    horizon: Horizon = None,
    size: Size = None,
    setting: Set = None,
    seed: Seed = 0,
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Draw what a latent space keeps of frames, what lies between two, and primed and free predictions.

    Examples:
    nextframe latent runs/digits -o images --context 30 --horizon 30 --gifs 30
    """
    from nextframe.data import open_data
    from nextframe.prediction.latent_images import draw_latents
    from nextframe.training import evaluation_data

    begin(quiet, plugin)
    settings = data_settings(data, root, context, horizon, size) | read_settings("latent", setting)
    clips = open_data(evaluation_data(model, settings))
    for path in draw_latents(model, clips, check_split(split), output, seed, gifs):
        typer.echo(str(path))
