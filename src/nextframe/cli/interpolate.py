"""nextframe interpolate: the frames between a video's frames."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Device, Plugin, Quiet, Set, begin
from nextframe.cli.sections import read_settings, section


def interpolate(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A video, GIF, folder of images or array file.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="A .gif, .mp4, .png (strip) or .npy file.")] = Path(
        "interpolated.gif"
    ),
    factor: Annotated[int, typer.Option(min=2, help="How many times the frame rate: 2, 4, 8, ...")] = 2,
    model: Annotated[str, typer.Option("--model", "-m", help="A baseline's name or a run folder.")] = "flow-middle",
    setting: Set = None,
    plugin: Plugin = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Put predicted frames between a video's frames: the same video at a higher frame rate.

    Examples:
    nextframe interpolate cat.gif -o smooth.gif --factor 4
    """
    from nextframe.cli.configs import InterpolateConfig
    from nextframe.media.limits import Limits
    from nextframe.prediction import interpolate as interpolate_video

    begin(quiet, plugin)
    config = InterpolateConfig.parse(section(read_settings("interpolate", setting), "interpolate"), "interpolate")
    limits = Limits(bytes=round(config.memory * 2**30))
    written = interpolate_video(source, output, model, factor, device=device, reading=config.reading, limits=limits)
    typer.echo(str(written))
