"""nextframe transfer: action classifiers on a trained model, with few and many labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nextframe.cli.options import (
    Device,
    JsonFile,
    Plugin,
    Quiet,
    Root,
    Seed,
    Set,
    begin,
    check_files,
    parse_names,
    parse_size,
)
from nextframe.cli.sections import only, read_settings, section

if TYPE_CHECKING:
    from nextframe.data import DataConfig
    from nextframe.transfer import TransferResult

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="RUN_OR_MODEL...", help="Run folders, or models by name (random weights)."),
]


def transfer(
    models: Names = None,
    data: Annotated[
        str,
        typer.Option(
            help="motion-digits, motion-clips, ucf101, hmdb51, kth, percepts, a folder of class folders, or a list."
        ),
    ] = "motion-digits",
    root: Root = None,
    per_class: Annotated[str, typer.Option(help="Labelled videos per class.")] = "1,2,4,10,20,50,all",
    draws: Annotated[int, typer.Option(min=1, help="Random choices of the labelled videos.")] = 10,
    methods: Annotated[
        str, typer.Option(help="The rows of the table.")
    ] = "fine-tuned,frozen,random,probe,single-frame",
    size: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH; what the first run was trained on by default.")
    ] = None,
    split: Annotated[str, typer.Option(help="test; val to choose settings.")] = "test",
    earlier: Annotated[
        list[Path] | None, typer.Option("--with", metavar="FILE.json", help="Add the rows of an earlier result.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.png", help="Write the plot; or .svg.")
    ] = None,
    json_file: JsonFile = None,
    setting: Set = None,
    seed: Seed = 0,
    device: Device = "auto",
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Train action classifiers on trained models, with few and many labelled videos, and compare them.

    Examples:
    nextframe transfer runs/lstm --json transfer.json -o transfer.png
    nextframe transfer runs/lstm --data ucf101 --root ~/data/ucf101 --set transfer.window=16
    nextframe transfer --with a.json --with b.json -o both.png
    """
    from nextframe.transfer import TransferConfig
    from nextframe.transfer import transfer as run_transfer
    from nextframe.transfer.plot import check_plot
    from nextframe.transfer.result import joined, read_result

    begin(quiet, plugin)
    if output is not None:
        check_plot(output)
    check_files(output, json_file)
    others = [read_result(path) for path in earlier or []]
    if not models:
        return _finish(joined(others), json_file, output)
    more = read_settings("transfer", setting)
    options = {"per_class": parse_amounts(per_class), "draws": draws, "methods": parse_names(methods)}
    options |= {"split": split, "seed": seed, "device": device}
    config = TransferConfig.parse(options | section(more, "transfer"), "transfer")
    wanted = {"data.name": data, "data.options.root": root, "data.size": parse_size(size)}
    given = {name: value for name, value in wanted.items() if value is not None}
    found = run_transfer(models, _data(models, given | only(more, "data")), config, show=not quiet)
    return _finish(joined([*others, found]), json_file, output)


def _finish(found: TransferResult, json_file: Path | None, output: Path | None) -> None:
    """Write and show a result."""
    from nextframe.transfer import write_plot

    if json_file is not None:
        found.write_json(json_file)
    if output is not None:
        write_plot(found.rows, len(found.settings["classes"]), output)
    _show(found)


def parse_amounts(text: str) -> list[int | None]:
    """Return [1, 2, None] of "1,2,all"; a UserError for anything else."""
    from nextframe.core.errors import UserError

    words = [word.strip() for word in text.split(",")]
    if not all(word == "all" or (word.isdecimal() and int(word) > 0) for word in words):
        raise UserError(f"--per-class '{text}': write numbers from 1 on, or all, separated by commas: 1,2,4,all")
    return [None if word == "all" else int(word) for word in words]


def _data(models: list[str], wanted: dict[str, Any]) -> DataConfig:
    """Return the data section; the frames are as the first trained model saw them unless something else is given."""
    from nextframe.data import DataConfig
    from nextframe.transfer.encoder import trained_data

    own = trained_data(models) if wanted["data.name"] != "percepts" else {}
    return DataConfig.parse(own | section(wanted, "data"), "data")


def _show(found: TransferResult) -> None:
    from nextframe.core.terminal import plain_console

    console = plain_console(soft_wrap=True)
    if not console.is_terminal:
        console.width = 200  # whole lines for files and pipes
    rows = found.rows
    console.print(f"accuracy on {rows[0].n} {rows[0].split} videos of {rows[0].data}, %, by labelled videos per class")
    console.print(found.table())
    for gain in found.gains():
        low, high = gain["ci95"] or (gain["mean"], gain["mean"])
        amount = gain["videos_per_class"]
        console.print(
            f"{gain['model']} {gain['method']} less random weights, {amount} per class: "
            f"{100 * gain['mean']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        )
