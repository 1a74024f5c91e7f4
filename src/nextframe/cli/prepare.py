"""nextframe prepare: crops in which something moves, cut once and read many times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nextframe.cli.options import JsonFile, Quiet, Root, Seed, be_quiet, check_files, parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping

FOR_PERCEPTS = {
    "path", "output", "percepts", "classes", "root", "size", "stride", "val_share", "test_share", "quiet"
}  # fmt: skip
ONLY_FOR_PERCEPTS = {"classes", "root"}


def prepare(
    run: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file or folder of videos, GIFs, frames or arrays.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of the clips; resumed where begun.")],
    clips: Annotated[int, typer.Option(min=1, help="Clips of the train split.")] = 20_000,
    held_out: Annotated[int | None, typer.Option(help="Clips of val and of test each; a tenth by default.")] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the crops; 32x32 by default.")] = None,
    context: Annotated[int, typer.Option(help="Frames given.")] = 4,
    horizon: Annotated[int, typer.Option(help="Frames to predict.")] = 1,
    stride: Annotated[int, typer.Option(help="Take every k-th frame.")] = 1,
    threshold: Annotated[float, typer.Option(help="Least motion: squared differences in [-1, 1], summed.")] = 100.0,
    keep: Annotated[float, typer.Option(help="The chance that the first crop is kept whatever it shows.")] = 0.05,
    tries: Annotated[int, typer.Option(help="Crops at most; then the last is kept.")] = 100,
    color: Annotated[str | None, typer.Option(help="grey or rgb; as the sources are by default.")] = None,
    kind: Annotated[str, typer.Option("--as", help="frames, or flow: 2 channels, pixels to the right and down.")] = (
        "frames"
    ),
    max_flow: Annotated[float, typer.Option(help="Pixels a step: where the scale of stored flows ends.")] = 16.0,
    across_cuts: Annotated[bool, typer.Option("--across-cuts", help="Let clips cross scene cuts.")] = False,
    val_share: Annotated[float, typer.Option(help="Of the sources, where there is no val folder.")] = 0.1,
    test_share: Annotated[float, typer.Option(help="Of the sources, where there is no test folder.")] = 0.1,
    shard: Annotated[int, typer.Option(help="Clips in a file.")] = 1000,
    percepts: Annotated[
        str | None, typer.Option(metavar="BACKBONE", help="Write features instead: filters, vgg16 or a run folder.")
    ] = None,
    classes: Annotated[bool, typer.Option("--classes", help="For --percepts: folders of PATH are classes.")] = False,
    root: Root = None,
    picture: Annotated[Path | None, typer.Option(help="Show the first clips in this .png, .gif or .mp4.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Threads; the clips are the same.")] = None,
    memory: Annotated[float, typer.Option(min=0, help="GiB of decoded frames to hold at most.")] = 2.0,
    seed: Seed = 0,
    json_file: JsonFile = None,
    quiet: Quiet = False,
) -> None:
    """Cut clips in which something moves, once, into shards that training reads fast; resumes after a kill."""
    import time

    from nextframe.core.whole_file import check_folder

    be_quiet(quiet)
    given = _given(run, percepts is not None)
    check_folder(output)
    check_files(picture, json_file)
    if percepts is not None:
        data = {"size": parse_size(size), "stride": stride, "options": _own_options(path, given, classes)}
        return _prepare_percepts(path, output, percepts, data, classes, quiet)
    from nextframe.data.prepared.config import PrepareConfig
    from nextframe.data.prepared.prepare import prepare as prepare_clips
    from nextframe.media.writer import check_ending

    if picture is not None:
        check_ending(picture)
    values = {name: value for name, value in locals().items() if name in PrepareConfig.model_fields}
    config = PrepareConfig.parse({**values, "size": parse_size(size or "32x32")}, "prepare")
    started = time.monotonic()
    manifest = prepare_clips(path, output, config, workers=workers, memory=memory, show=not quiet)
    if picture is not None:
        _show_clips(picture, output, config.context, config.horizon)
    if json_file is not None:
        _write_json(json_file, output, manifest, seed, started)
    return _show(output, manifest)


def _given(run: typer.Context, percepts: bool) -> dict[str, Any]:
    """Return what the user gave; a UserError names what would be ignored."""
    from nextframe.core.errors import UserError

    given = {name: value for name, value in run.params.items() if _is_typed(run, name)}
    vain = set(given) - FOR_PERCEPTS if percepts else set(given) & ONLY_FOR_PERCEPTS
    if vain:
        words = [max(option.opts, key=len) for option in run.command.params if option.name in vain]
        raise UserError(f"prepare {'with' if percepts else 'without'} --percepts takes no {', '.join(words)}; leave "
                        f"{'it' if len(words) == 1 else 'them'} out")  # fmt: skip
    return given


def _is_typed(run: typer.Context, name: str) -> bool:
    source = run.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _own_options(path: Path, given: Mapping[str, Any], classes: bool) -> dict[str, Any]:
    """Return the options of the data set that percepts are made of: of the shares only those that were given."""
    from nextframe.core.errors import UserError
    from nextframe.data import DATASETS

    options = {name: given[name] for name in ("root", "val_share", "test_share") if name in given}
    if _has_classes(path, classes):
        if "root" in options:
            raise UserError(f"--root is for a data set with a name; {path} is a path with classes")
        return {**options, "root": str(path)}
    if str(path) in DATASETS and "root" not in options and options:
        raise UserError(f"{path} has splits of its own: leave --val-share and --test-share out")
    return options


def _has_classes(path: Path, classes: bool) -> bool:
    """Whether `path` is a list of files, or a folder of folders that are classes."""
    return classes or path.suffix == ".txt"


def _prepare_percepts(
    path: Path, output: Path, backbone: str, data: dict[str, Any], classes: bool, quiet: bool
) -> None:
    from nextframe.data import DataConfig
    from nextframe.transfer.percepts import write_percepts

    name = "labelled" if _has_classes(path, classes) else str(path)
    written = write_percepts(DataConfig(name=name, **data), output, backbone, show=not quiet)
    for split, videos in written.videos.items():
        typer.echo(f"{split}: {videos:,} videos, {written.frames[split]:,} frames, {written.width} features each")
    typer.echo(f"{output}  (nextframe transfer MODEL --data percepts --root {output})")


def _show_clips(picture: Path, output: Path, context: int, horizon: int) -> None:
    from nextframe.data import DataConfig, open_data
    from nextframe.data.inspect.clip_sheet import write_clip_sheet

    write_clip_sheet(picture, open_data(DataConfig(name=str(output), context=context, horizon=horizon)))


def _show(output: Path, manifest: Mapping[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("split", "clips", "kept by chance", "by motion", "gave up", "first crop moves", box=None)
    for split, found in manifest["statistics"].items():
        shares = [f"{share:.1%}" for share in found["share"].values()]
        table.add_row(split, f"{found['clips']:,}", *shares, f"{found['first_crop_moves']:.1%}")
    Console(soft_wrap=True).print(table)
    for name, why in manifest["skipped"]:
        typer.echo(f"skipped {name}: {why}", err=True)
    made = manifest["settings"]
    use = f"--data {output} --context {made['context']} --horizon {made['horizon']}"
    typer.echo(f"{output}  (motion.png shows the motion; nextframe train MODEL {use})")


def _write_json(file: Path, output: Path, manifest: Mapping[str, Any], seed: int, started: float) -> None:
    import json

    from nextframe.core.whole_file import write_whole
    from nextframe.evaluation import run_facts

    rows = [
        {
            "data": output.name,
            "split": split,
            "metric": f"kept by {rule}",
            "definition": "share of the clips that this rule kept",
            "unit": "share",
            "mean": share,
            "n": found["clips"],
        }
        for split, found in manifest["statistics"].items()
        for rule, share in found["share"].items()
    ]
    text = json.dumps({"rows": rows, "run": run_facts(None, seed, started)}, indent=1)
    write_whole(file, text + "\n")
