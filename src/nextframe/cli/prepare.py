"""nextframe prepare: crops in which something moves, cut once and read many times."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nextframe.cli.options import JsonFile, Quiet, Root, Set, begin, check_files, parse_size
from nextframe.cli.sections import read_settings, section

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nextframe.cli.configs import PrepareRun
    from nextframe.data.prepared.config import PrepareConfig


def prepare(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="PATH_OR_NAME",
            help="A file or a folder of videos, GIFs, image folders or arrays; with --root the name of a data set.",
        ),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of the clips; continued if it was begun.")],
    root: Root = None,
    clips: Annotated[int | None, typer.Option(help="Clips of the train split.", show_default="20000")] = None,
    held_out: Annotated[
        int | None, typer.Option(help="Clips of val and of test each.", show_default="a tenth of --clips")
    ] = None,
    size: Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the crops.", show_default="32x32")] = None,
    context: Annotated[int | None, typer.Option(help="Context frames.", show_default="4")] = None,
    horizon: Annotated[int | None, typer.Option(help="Frames to predict.", show_default="1")] = None,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least motion: squared differences in [-1, 1], summed.", show_default="100"),
    ] = None,
    sheet: Annotated[
        Path | None,
        typer.Option("--picture", help="Show the first clips in this .png, .gif or .mp4.", show_default="not written"),
    ] = None,
    setting: Set = None,
    json_file: JsonFile = None,
    seed: Annotated[int | None, typer.Option(hidden=True)] = None,
    quiet: Quiet = False,
) -> None:
    """Cut clips in which something moves, once, into shards that training reads fast. Continues after a kill.

    Examples:
    nextframe prepare videos/ -o clips/ --size 64x64 --context 10 --horizon 10 --threshold 1600
    nextframe prepare videos/ -o flow/ --set prepare.kind=flow --picture flow.gif
    nextframe prepare ucf101 --root ~/data/ucf101 -o ucf/ --clips 50000
    nextframe train compact --data clips/ --context 4 --horizon 1 --steps 10000
    """
    from nextframe.cli.configs import PrepareRun
    from nextframe.core.files.whole_file import check_apart, check_folder
    from nextframe.data.prepared.config import PrepareConfig
    from nextframe.media.writer import check_ending

    begin(quiet)
    check_folder(output)
    check_apart(output, root or path, inside=False)
    check_files(sheet, json_file)
    for file, inside in ((json_file, False), (sheet, True)):
        if file is not None:
            check_apart(file, root or path, inside=inside)
    if sheet is not None:
        check_ending(sheet)
    more = read_settings("prepare", setting)
    options: dict[str, Any] = {
        "clips": clips,
        "held_out": held_out,
        "size": parse_size(size),
        "context": context,
        "horizon": horizon,
    }
    options |= {"threshold": threshold, "seed": seed}
    given = {name: value for name, value in options.items() if value is not None}
    config = PrepareConfig.parse(given | section(more, "prepare"), "prepare")
    run = PrepareRun.parse(section(more, "run"), "run")
    manifest = _prepare(path, root, output, config, run, json_file, not quiet)
    if sheet is not None:
        _show_clips(sheet, output, config)
    _show(output, manifest)


def _prepare(
    path: Path,
    root: str | None,
    output: Path,
    config: PrepareConfig,
    run: PrepareRun,
    json_file: Path | None,
    show: bool,
) -> Mapping[str, Any]:
    import time

    from nextframe.data.prepared.prepare import prepare as prepare_clips

    started = time.monotonic()
    manifest = prepare_clips(
        path, output, config, root=root, workers=run.workers, memory=run.memory, ray=run.ray, show=show
    )
    if json_file is not None:
        _write_json(json_file, output, manifest, config.seed, started)
    return manifest


def _show_clips(path: Path, output: Path, config: PrepareConfig) -> None:
    from nextframe.data import DataConfig, open_data
    from nextframe.data.inspect.clip_sheet import write_clip_sheet

    data = DataConfig(name=str(output), context=config.context, horizon=config.horizon)
    write_clip_sheet(path, open_data(data))


def _show(output: Path, manifest: Mapping[str, Any]) -> None:
    from rich.table import Table

    from nextframe.core.terminal import plain_console, visible

    table = Table("split", "clips", "kept by chance", "by motion", "gave up", "first crop moves", box=None)
    for split, found in manifest["statistics"].items():
        shares = [f"{share:.1%}" for share in found["share"].values()]
        table.add_row(split, f"{found['clips']:,}", *shares, f"{found['first_crop_moves']:.1%}")
    plain_console(soft_wrap=True).print(table)
    for name, why in manifest["skipped"]:
        typer.echo(visible(f"skipped {name}: {why}"), err=True)
    made = manifest["settings"]
    use = f"--data {output} --context {made['context']} --horizon {made['horizon']}"
    typer.echo(f"{output}  (motion.png shows the motion; nextframe train MODEL {use})")


def _write_json(file: Path, output: Path, manifest: Mapping[str, Any], seed: int, started: float) -> None:
    import json

    from nextframe.core.files.whole_file import write_whole
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
