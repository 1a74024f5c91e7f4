"""nextframe app: a page where anyone can give a clip and see what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Plugin, Quiet, Set, begin, say_start
from nextframe.cli.sections import read_settings, section


def app(
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A model that visitors may choose: a name, run folder or user/name."),
    ] = None,
    rows: Annotated[
        list[Path] | None, typer.Option(metavar="ROWS", help="Row files or folders for the leaderboard; repeatable.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 7860,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    setting: Set = None,
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Open a web page: give it a clip, see what comes next. On this machine only, unless --host says otherwise.

    Examples:
    nextframe app
    nextframe app --model runs/mine --rows benchmarks/gif-next
    nextframe app --host 0.0.0.0 --no-browser --set limits.upload_mb=16 --set limits.workers=2
    """
    begin(quiet, plugin)
    say_start("nextframe app: starting", quiet)
    from nextframe.web import WebLimits, serve

    limits = WebLimits.parse(section(read_settings("app", setting), "limits"), "limits")
    serve(models or (), rows=_rows(rows), limits=limits, host=host, port=port, show=browser)


def _rows(paths: list[Path] | None) -> list[Path]:
    from nextframe.benchmark import find_rows

    return find_rows(paths) if paths else []
