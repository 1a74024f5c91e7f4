"""nextframe data: what there is in a path or a data set, what was skipped and why, and an image of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nextframe.cli.options import (
    Context,
    Horizon,
    JsonFile,
    Plugin,
    Quiet,
    Root,
    Set,
    Size,
    begin,
    check_files,
    data_settings,
)
from nextframe.cli.sections import read_settings, section

if TYPE_CHECKING:
    from rich.console import Console

    from nextframe.data import DataConfig
    from nextframe.data.inspect.report import DataReport

MOST_ROWS = 60  # sources on the terminal; --json has all
MOST_NOTES = 20


def data(
    source: Annotated[
        str, typer.Argument(metavar="PATH_OR_NAME", help="A file, a folder, a registered data set or hf:user/name.")
    ],
    context: Context = None,
    horizon: Horizon = None,
    size: Size = None,
    root: Root = None,
    check: Annotated[bool, typer.Option("--check", help="Decode every frame of every source again.")] = False,
    contact_sheet: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Write an image: a row of frames for each source.")
    ] = None,
    setting: Set = None,
    json_file: JsonFile = None,
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Show what nextframe sees: sources, sizes, frames, splits, clips, and what it skipped and why.

    Examples:
    nextframe data my_videos/
    nextframe data my_videos/ --context 10 --horizon 10 --contact-sheet sheet.png
    nextframe data ucf101 --root ~/data/ucf101 --set data.options.split_number=2
    """
    import time

    from nextframe.core.files.whole_file import check_apart
    from nextframe.core.terminal import plain_console
    from nextframe.data import DataConfig
    from nextframe.data.inspect.contact_sheet import contact_sheet as draw_sheet
    from nextframe.data.inspect.contact_sheet import save_sheet

    begin(quiet, plugin)
    check_files(json_file, contact_sheet)
    for output, inside in ((json_file, False), (contact_sheet, True)):
        if output is not None:
            check_apart(output, source, inside=inside)
    started = time.monotonic()
    settings = data_settings(source, root, context, horizon, size) | read_settings("data", setting)
    config = DataConfig.parse(section(settings, "data"), "data")
    report, note = _described(config, check)
    if json_file is not None:
        _write_json(report, json_file, started)
    if contact_sheet is not None:
        save_sheet(draw_sheet(report.contents, config), contact_sheet)
    console = plain_console(soft_wrap=True)
    if not console.is_terminal:
        console.width = 400  # whole lines for files and pipes
    _show(console, report)
    if note:
        console.print(note)
    if check:
        _fail_if_cut(report)


def _described(config: DataConfig, check: bool) -> tuple[DataReport, str]:
    """Return what is there; if sizes differ and none is asked for, as `train` reads it, with a line that says so."""
    from nextframe.api.data import SIZE, any_size
    from nextframe.data.inspect.report import describe

    report = describe(config, check)
    sizes = {(row.height, row.width) for row in report.sources}
    if check or config.size is not None or len(sizes) < 2 or not any_size(config.name):
        return report, ""
    sized = describe(config.model_copy(update={"size": SIZE}), check)
    return sized, f"sizes differ: read at {SIZE[0]}x{SIZE[1]}, as train does; --size HEIGHTxWIDTH chooses another size"


def _fail_if_cut(report: DataReport) -> None:
    """Raise a UserError if a source promises more than it holds."""
    from nextframe.core.errors import UserError

    if report.cut_short:
        name, what = report.cut_short[0]
        raise UserError(f"{len(report.cut_short)} of {len(report.sources)} sources end early, as {name}: {what}")


def _write_json(report: DataReport, path: Path, started: float) -> None:
    from nextframe.core.files.whole_file import write_whole
    from nextframe.evaluation.run_facts import run_facts

    whole = {**report.as_json(), "run": run_facts(None, None, started)}
    write_whole(path, json.dumps(whole, indent=1) + "\n")


def _show(console: Console, report: DataReport) -> None:
    for line in report.about:
        console.print(line)
    if report.sources:
        _show_sources(console, report)
    _show_notes(console, report)
    for name, why in report.skipped:
        console.print(f"skipped {name}: {why}")
    for name, what in report.cut_short:
        console.print(f"{name} is {what}")
    if report.others:
        kinds = ", ".join(f"{count} {ending}" for ending, count in sorted(report.others.items()))
        console.print(f"skipped, not videos or frames: {kinds}")
    console.print(f"\nsplits: {report.rule}")
    counts = {split: "endless" if count is None else f"{count:,}" for split, count in report.clips.items()}
    console.print("clips: " + ", ".join(f"{split} {count}" for split, count in counts.items()))
    if report.frame_shape:
        channels, height, width = report.frame_shape
        console.print(f"each frame {height}x{width}, {'grey' if channels == 1 else 'RGB'}")
    if report.problem:
        console.print(report.problem)


def _show_notes(console: Console, report: DataReport) -> None:
    """Say what the reader chose, each note once with the sources that it is about."""
    about: dict[str, list[str]] = {}
    for row in report.sources:
        for note in row.notes:
            about.setdefault(note, []).append(row.name)
    for note, names in list(about.items())[:MOST_NOTES]:
        more = "" if len(names) == 1 else f" and {len(names) - 1} more"
        console.print(f"note: {names[0]}{more}: {note}")
    if len(about) > MOST_NOTES:
        console.print(f"... and {len(about) - MOST_NOTES} more notes (--json has all)")


def _show_sources(console: Console, report: DataReport) -> None:
    from rich import box
    from rich.table import Table

    from nextframe.core.terminal import visible

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("source", "kind", "split"):
        table.add_column(name, no_wrap=True)
    for name in ("size", "frames", "fps", "cuts", "clips"):
        table.add_column(name, justify="right", no_wrap=True)
    room = max(16, console.width - 57)
    for row in report.sources[:MOST_ROWS]:
        size = f"{row.height}x{row.width}" + (" grey" if row.channels == 1 else "")
        facts = (str(row.frames), f"{row.fps:.4g}", str(len(row.cuts)), str(row.clips))
        name = visible(row.name, keep="")
        name = name if len(name) <= room else f"…{name[1 - room :]}"
        table.add_row(name, row.codec or row.kind, row.split, size, *facts)
    console.print(table)
    if len(report.sources) > MOST_ROWS:
        console.print(f"... and {len(report.sources) - MOST_ROWS} more (--json has all)")
    what = "decoded now to the end" if report.checked else "each was decoded to its end once"
    console.print(
        f"{len(report.sources)} sources ({what}), {report.frames:,} frames, {report.seconds / 60:.1f} minutes; "
        f"{len(report.skipped)} skipped"
    )
