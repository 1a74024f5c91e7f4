"""nextframe predict: the frames that come after a video's end."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import (
    Device,
    Plugin,
    Quiet,
    Seed,
    Set,
    begin,
    check_files,
    complete_models,
    parse_size,
)
from nextframe.cli.sections import read_settings, section

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="A trained model (nextframe models), a baseline, a run folder, or user/name on the Hub.",
        autocompletion=complete_models,
    ),
]
Output = Annotated[
    Path,
    typer.Option("-o", "--output", help="A .gif, .mp4, .png (strip) or .npy file, or a folder of images."),
]
Compare = Annotated[
    bool,
    typer.Option(
        "--compare", help="Hold back the last frames and show them next to the prediction.", show_default="no"
    ),
]
Adapt = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="First train a copy of the model on the context frames; used if that helps.",
        show_default="no",
    ),
]
JsonFile = Annotated[
    Path | None,
    typer.Option(
        "--json", metavar="FILE", help="Write how sure each frame is to this file.", show_default="not written"
    ),
]
ContextFrames = Annotated[
    int | None, typer.Option(min=1, help="Context frames.", show_default="as many as in training")
]
At = Annotated[
    int | None, typer.Option(min=1, help="Number of the first predicted frame.", show_default="after the last")
]
Size = Annotated[
    str | None, typer.Option(help="HEIGHTxWIDTH of the frames, such as 64x64.", show_default="the video's own")
]
Fps = Annotated[
    float | None,
    typer.Option(min=0.01, max=1000, help="Frames a second of the written clip.", show_default="the video's own"),
]


def predict(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A video, GIF, folder of images or array file.")],
    model: Model = "motion",
    frames: Annotated[int, typer.Option("--frames", "-n", min=1, help="How many frames to predict.")] = 10,
    output: Output = Path("prediction.gif"),
    samples: Annotated[int, typer.Option(min=1, help="How many futures, of a stochastic model.")] = 1,
    compare: Compare = False,
    context: ContextFrames = None,
    at: At = None,
    size: Size = None,
    fps: Fps = None,
    adapt: Adapt = None,
    json_file: JsonFile = None,
    setting: Set = None,
    seed: Seed = 0,
    device: Device = "auto",
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Predict the next frames of a video, by default after its last frame.

    Examples:
    nextframe predict cat.mp4 -o next.gif
    nextframe predict cat.mp4 --adapt 20 --set options.mirror=true --json sure.json
    nextframe predict cat.mp4 --model runs/mine -n 20 --compare --fps 5 -o next.mp4
    nextframe predict frames/ --model runs/mine --at 300 --set predict.tile=96 -o out/
    """
    from nextframe.cli.configs import PredictConfig
    from nextframe.core.files.whole_file import check_apart, write_whole
    from nextframe.media.limits import Limits
    from nextframe.prediction import Asked, check_output, stream, write_stream

    begin(quiet, plugin)
    started = time.monotonic()
    check_files(json_file)
    more = read_settings("predict", setting)
    config = PredictConfig.parse(section(more, "predict"), "predict")
    check_output(output)  # before any work
    check_apart(output, source)
    asked = Asked(
        samples=samples,
        compare=compare,
        one_step=config.one_step,
        context=context,
        at=at,
        stride=config.stride,
        size=parse_size(size),
        fps=fps,
        tile=config.tile,
        overlap=config.overlap,
        limits=Limits(bytes=round(config.memory * 2**30)),
        seed=seed,
        device=device,
        options=section(more, "options"),
        reading=config.reading,
        adapt=adapt,
    )
    prediction = stream(source, model, frames, asked, output)
    write_stream(prediction, output, with_context=config.with_context)
    if json_file is not None:
        from nextframe.evaluation.run_facts import run_facts  # evaluation is not needed but for this

        write_whole(
            json_file, json.dumps({**prediction.as_json(), "run": run_facts(None, seed, started)}, indent=1) + "\n"
        )
    typer.echo(str(output))
