"""Options that several verbs share: their names and help stand once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from nextframe.data.clipset import Split

Data = Annotated[str, typer.Option(help="A registered data set, or a path to videos, GIFs, frame folders or arrays.")]
Digits = Annotated[
    str | None, typer.Option(help="For moving digits: embedded, mnist, fashion, or a path to idx files.")
]
Root = Annotated[
    str | None, typer.Option(metavar="PATH", help="Your copy of a registered data set, such as ucf101 or kth.")
]
Context = Annotated[int | None, typer.Option(help="Frames given.")]
Horizon = Annotated[int | None, typer.Option(help="Frames to predict.")]
Size = Annotated[str | None, typer.Option(help="HEIGHTxWIDTH of the clips, for example 64x64.")]
Stride = Annotated[int | None, typer.Option(help="Take every k-th frame.")]
Kind = Annotated[str | None, typer.Option("--as", help="frames, or flow: 2 channels, pixels to the right and down.")]
Temperature = Annotated[
    float | None, typer.Option(help="Of futures drawn from latents: 0 the likeliest, 1 as learned.")
]
Seed = Annotated[int, typer.Option(help="Decides everything random.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors.")]
JsonFile = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the rows to this file.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.FIELD=VALUE", help="Any other setting; repeatable.")
]

Plugin = Annotated[
    list[Path] | None,
    typer.Option("--plugin", metavar="FILE.py", help="Run this file: it adds models, data sets, ...; repeatable."),
]


def load_plugins(plugins: list[Path] | None) -> None:
    """Add what the user's own files register, before anything asks for them by name."""
    from nextframe.core.plugins import load_plugin

    for plugin in plugins or []:
        load_plugin(plugin)


def check_files(*paths: Path | None) -> None:
    """Refuse the files that were asked for and could not be written, before any work."""
    from nextframe.core.whole_file import check_file

    for path in paths:
        if path is not None:
            check_file(path)


def parse_names(text: str) -> list[str]:
    """Return the names of "a, b", in order; none of an empty text."""
    return [name.strip() for name in text.split(",") if name.strip()]


def parse_size(size: str | None) -> tuple[int, int] | None:
    """Return (height, width) of "64x96" or "64"; a UserError for anything else."""
    from nextframe.core.errors import UserError

    if size is None:
        return None
    parts = size.lower().split("x")
    if len(parts) > 2 or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UserError(f"--size '{size}': write HEIGHTxWIDTH, for example 64x64")
    return int(parts[0]), int(parts[-1])


def check_split(split: str) -> Split:
    """Return `split` if it is one; else a UserError that says which there are."""
    from nextframe.core.errors import UnknownNameError

    if split not in ("train", "val", "test"):
        raise UnknownNameError("split", split, ("train", "val", "test"))
    return cast("Split", split)


def data_settings(
    data: str | None,
    digits: str | None,
    context: int | None,
    horizon: int | None,
    size: str | None,
    stride: int | None,
    kind: str | None = None,
    root: str | None = None,
) -> dict[str, object]:
    """Return the data options that were given, as dotted settings of a recipe."""
    given = {
        "data.name": data,
        "data.options.digits": digits,
        "data.context": context,
        "data.horizon": horizon,
        "data.size": parse_size(size),
        "data.stride": stride,
        "data.kind": kind,
        "data.options.root": root,
    }
    return {name: value for name, value in given.items() if value is not None}


def at_temperature(temperature: float | None) -> dict[str, object]:
    """Return the model's options that `--temperature` stands for; none if it was not given."""
    return {} if temperature is None else {"temperature": temperature}


def be_quiet(quiet: bool) -> None:
    """Let only warnings and errors through where the user asked for quiet."""
    import logging

    if quiet:
        logging.getLogger().setLevel(logging.WARNING)
        logging.getLogger("nextframe").setLevel(logging.WARNING)  # so that no progress is written instead
