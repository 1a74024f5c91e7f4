"""nextframe transfer: what a model has learned, as action classes, with few and many labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextframe.cli.options import (
    Device,
    JsonFile,
    Plugin,
    Quiet,
    Root,
    Seed,
    Set,
    be_quiet,
    check_files,
    load_plugins,
    parse_size,
)

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
        str, typer.Option(help="motion-digits, ucf101, hmdb51, kth, percepts, a folder of class folders, or a list.")
    ] = "motion-digits",
    root: Root = None,
    per_class: Annotated[str, typer.Option(help="Labelled videos of each class.")] = "1,2,4,10,20,50,all",
    draws: Annotated[int, typer.Option(min=1, help="Random choices of the labelled videos.")] = 10,
    methods: Annotated[
        str, typer.Option(help="What stands in the table.")
    ] = "fine-tuned,frozen,random,probe,single-frame",
    window: Annotated[int, typer.Option(help="Frames that a class is told from.")] = 16,
    window_stride: Annotated[int, typer.Option(help="Frames from one window to the next.")] = 8,
    size: Annotated[
        str | None, typer.Option(help="HEIGHTxWIDTH; what the first run was trained on by default.")
    ] = None,
    stride: Annotated[int, typer.Option(min=1, help="Take every k-th frame.")] = 1,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each classifier.")] = 200,
    batch: Annotated[int, typer.Option(min=1, help="Windows in a step.")] = 32,
    lr: Annotated[float, typer.Option(help="Adam's rate.")] = 1e-3,
    dropout: Annotated[float, typer.Option(help="Of the encoder's outputs.")] = 0.0,
    precision: Annotated[str, typer.Option(help="auto, 32 or bf16.")] = "auto",
    split: Annotated[str, typer.Option(help="test; val to choose settings on.")] = "test",
    earlier: Annotated[
        list[Path] | None, typer.Option("--with", metavar="FILE.json", help="Add the rows of an earlier result.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE.png", help="The plot; or .svg.")
    ] = None,
    json_file: JsonFile = None,
    setting: Set = None,
    plugin: Plugin = None,
    seed: Seed = 0,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Train classifiers on what models have learned, with few and many labelled videos, and compare them."""
    from nextframe.transfer import ClassifierConfig, TransferConfig
    from nextframe.transfer import transfer as run_transfer
    from nextframe.transfer.plot import check_plot
    from nextframe.transfer.result import joined, read_result

    be_quiet(quiet)
    load_plugins(plugin)
    if output is not None:
        check_plot(output)
    check_files(output, json_file)
    others = [read_result(path) for path in earlier or []]
    if not models:
        return _finish(joined(others), json_file, output)
    classifier = {"steps": steps, "batch": batch, "lr": lr, "dropout": dropout, "precision": precision}
    values = {"per_class": parse_amounts(per_class), "draws": draws, "methods": methods.replace(" ", "").split(",")}
    values |= {"window": window, "stride": window_stride, "split": split, "seed": seed, "device": device}
    values["classifier"] = ClassifierConfig.parse(classifier, "transfer")
    config = TransferConfig.parse(values, "transfer")
    wanted: dict[str, object] = {
        "data.name": data,
        "data.options.root": root,
        "data.size": parse_size(size),
        "data.stride": stride,
    }
    found = run_transfer(models, _data(models, wanted, setting or []), config, show=not quiet)
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
    if not all(word == "all" or (word.isdigit() and int(word) > 0) for word in words):
        raise UserError(f"--per-class '{text}': write numbers from 1 on, or all, with commas: 1,2,4,all")
    return [None if word == "all" else int(word) for word in words]


def _data(models: list[str], wanted: dict[str, object], setting: list[str]) -> DataConfig:
    """Return the data section; size and colour are those of the first trained model where nothing is said."""
    from nextframe.core.settings import parse_settings, section_fields
    from nextframe.data import DataConfig
    from nextframe.transfer.encoder import trained_size

    size, color = trained_size(models) if wanted["data.name"] != "percepts" else (None, None)
    wanted = {name: value for name, value in wanted.items() if value is not None} | parse_settings(setting)
    fields = section_fields(wanted, "data", "data.options.split_number=2")
    return DataConfig.parse({"size": size, "color": color} | fields, "data")


def _show(found: TransferResult) -> None:
    from rich.console import Console

    console = Console(soft_wrap=True, highlight=False)
    if not console.is_terminal:
        console.width = 200  # whole lines for files and pipes
    rows = found.rows
    console.print(f"accuracy on {rows[0].n} {rows[0].split} videos of {rows[0].data}, %, by labelled videos per class")
    console.print(found.table())
    for gain in found.gains():
        low, high = gain["ci95"] or (gain["mean"], gain["mean"])
        amount = gain["videos_per_class"]
        console.print(
            f"{gain['model']} {gain['method']} less random weights, {amount} a class: "
            f"{100 * gain['mean']:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
        )
