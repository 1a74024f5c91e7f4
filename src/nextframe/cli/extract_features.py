"""nextframe extract-features: the frames of videos as feature vectors, in files that training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from nextframe.cli.options import Device, Plugin, Quiet, Root, Set, Size, begin, data_settings
from nextframe.cli.sections import read_settings, section


def extract_features(
    source: Annotated[
        str, typer.Argument(metavar="PATH_OR_NAME", help="A path, a list of files (.txt), or a registered data set.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="A new folder for the features.")],
    backbone: Annotated[str, typer.Option(help="filters (nothing is trained), vgg16, or a run folder.")] = "filters",
    classes: Annotated[bool, typer.Option("--classes", help="The folders inside the path are classes.")] = False,
    root: Root = None,
    size: Size = None,
    setting: Set = None,
    device: Device = "auto",
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Write a feature vector for every frame of every video, for models that predict features.

    Examples:
    nextframe extract-features ucf101 --root ~/data/ucf101 --backbone vgg16 -o ucf101-features
    nextframe extract-features my_classes/ --classes -o features
    nextframe train composite-lstm --data percepts --root features --set model.loss=squared
    """
    from nextframe.core.files.whole_file import check_apart, check_folder
    from nextframe.data import DataConfig
    from nextframe.transfer.percepts import write_percepts

    begin(quiet, plugin)
    values = section(data_settings(source, root, None, None, size) | read_settings("extract-features", setting), "data")
    check_folder(output)
    check_apart(output, source, inside=False)
    data = DataConfig.parse(_labelled(source, values, classes), "data")
    written = write_percepts(data, output, backbone, device=device, show=not quiet)
    for split, videos in written.videos.items():
        typer.echo(f"{split}: {videos:,} videos, {written.frames[split]:,} frames, {written.width} features each")
    typer.echo(f"{output}  (nextframe transfer MODEL --data percepts --root {output})")


def _labelled(source: str, values: dict[str, Any], classes: bool) -> dict[str, Any]:
    """Return the data section; a list of files or a folder of classes stands for the data set `labelled`.

    Raises:
        UserError: options that would be ignored.
    """
    from nextframe.core.errors import UserError
    from nextframe.data import DATASETS

    options = values.get("options", {})
    if classes or source.endswith(".txt"):
        if "root" in options:
            raise UserError(f"--root is for a data set with a name, and {source} is a path: skip --root")
        return {**values, "name": "labelled", "options": {**options, "root": source}}
    shares = [f"data.options.{name}" for name in ("val_share", "test_share") if name in options]
    if source in DATASETS and shares and "root" not in options:
        raise UserError(f"{source} has splits of its own: skip {' and '.join(shares)}")
    return values
