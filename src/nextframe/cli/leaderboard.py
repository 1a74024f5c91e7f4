"""nextframe leaderboard: rows as one page or as Markdown, and the check of a row that someone sent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Device, Plugin, Quiet, begin, parse_names


def leaderboard(
    rows: Annotated[list[Path] | None, typer.Argument(metavar="ROWS...", help="Row files, or folders of them.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The HTML page.")] = Path("leaderboard.html"),
    markdown: Annotated[Path | None, typer.Option(metavar="FILE", help="Also write Markdown to this file.")] = None,
    check: Annotated[
        Path | None, typer.Option("--verify", metavar="ROW.json", help="Measure this row's model again and compare.")
    ] = None,
    exclude: Annotated[
        str | None, typer.Option(metavar="TEXTS", help="Means without the sources whose names contain one of these.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="With --verify: where the clips are on this machine.")] = None,
    plugin: Plugin = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Make one self-contained page of rows, or check a row against its model.

    Examples:
    nextframe leaderboard benchmarks/gif-next -o leaderboard.html --markdown leaderboard.md
    nextframe leaderboard results/gif-next --exclude intel-iot-devkit --markdown without.md
    nextframe leaderboard --verify mine/my-blend.json --data gifs/ --plugin my_model.py
    """
    from nextframe.benchmark import as_markdown, find_rows, verify, write_leaderboard
    from nextframe.core.errors import UserError
    from nextframe.core.files.whole_file import write_whole

    begin(quiet, plugin)
    if check is not None:
        if rows:
            raise UserError("give rows to show or --verify ROW.json, not both")
        row = verify(check, data, device)
        figure = row.figures[0]
        typer.echo(f"{check}: accepted; {row.entry} has {figure.metric} {figure.mean:.6g} on {row.task.name}")
        return
    found, excluded = find_rows(rows or []), parse_names(exclude) if exclude else ()
    typer.echo(str(write_leaderboard(found, output, excluded)))
    if markdown is not None:
        write_whole(markdown, as_markdown(found, excluded))
        typer.echo(str(markdown))
