"""nextframe predict: the frames that come after a video's end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import (
    Device,
    Plugin,
    Quiet,
    Seed,
    Size,
    Temperature,
    at_temperature,
    be_quiet,
    load_plugins,
    parse_size,
)


def predict(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A video, GIF, folder of images or array file.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="A baseline's name, a run folder, or user/name on the Hub.")
    ] = "flow",
    frames: Annotated[int, typer.Option("--frames", "-n", min=1, help="How many frames to predict.")] = 10,
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="A .gif, .mp4, .png (strip) or .npy file, or a folder of pictures."),
    ] = Path("prediction.gif"),
    samples: Annotated[int, typer.Option(min=1, help="How many futures, of a model that draws them.")] = 1,
    compare: Annotated[
        bool, typer.Option("--compare", help="Hold the last frames back and show them beside the prediction.")
    ] = False,
    with_context: Annotated[
        bool, typer.Option("--with-context", help="Begin the output with the frames that the model was given.")
    ] = False,
    context: Annotated[int | None, typer.Option(min=1, help="How many frames the model is given.")] = None,
    at: Annotated[int | None, typer.Option(min=1, help="Number of the first predicted frame; else the end.")] = None,
    one_step: Annotated[
        bool, typer.Option("--one-step", help="Predict each frame from the true ones before it, and compare.")
    ] = False,
    stride: Annotated[int, typer.Option(min=1, help="Take every k-th frame.")] = 1,
    size: Size = None,
    tile: Annotated[int | None, typer.Option(min=16, help="Predict in tiles of so many pixels: less memory.")] = None,
    overlap: Annotated[int, typer.Option(min=0, help="Pixels that neighbouring tiles share.")] = 32,
    temperature: Temperature = None,
    plugin: Plugin = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Predict the frames that come next in a video; by default after its last frame."""
    from nextframe.prediction import check_output, write_prediction
    from nextframe.prediction import predict as predict_frames

    be_quiet(quiet)
    load_plugins(plugin)
    check_output(output)  # before any work
    prediction = predict_frames(
        source,
        model,
        frames,
        samples=samples,
        compare=compare,
        one_step=one_step,
        context=context,
        at=at,
        stride=stride,
        size=parse_size(size),
        tile=tile,
        overlap=overlap,
        seed=seed,
        device=device,
        options=at_temperature(temperature),
    )
    write_prediction(prediction, output, with_context=with_context)
    typer.echo(str(output))
