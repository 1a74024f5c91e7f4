"""nextframe app: a page where anyone gives a clip and sees what comes next."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Plugin, Quiet, be_quiet, load_plugins


def app(
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", help="A model that visitors may choose: a name, run folder or user/name."),
    ] = None,
    rows: Annotated[
        list[Path] | None, typer.Option(metavar="ROWS", help="Row files or folders for the leaderboard; repeatable.")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 lets others in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes any that is free.")] = 7860,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    upload_mb: Annotated[int, typer.Option(min=1, help="Largest upload.")] = 64,
    pixels: Annotated[int, typer.Option(min=64, help="Most pixels of a frame.")] = 2_500_000,
    clip_frames: Annotated[int, typer.Option(min=2, help="Most frames of a clip.")] = 900,
    decode_seconds: Annotated[float, typer.Option(help="Longest time to read a clip.")] = 20.0,
    predict_seconds: Annotated[float, typer.Option(help="Longest time to predict.")] = 120.0,
    horizon: Annotated[int, typer.Option(min=1, help="Most frames to predict.")] = 30,
    side: Annotated[int, typer.Option(min=16, help="Longest side of predicted frames.")] = 256,
    queue: Annotated[int, typer.Option(min=1, help="Most people who wait.")] = 16,
    workers: Annotated[int, typer.Option(min=1, help="Predictions at the same time.")] = 1,
    keep_minutes: Annotated[float, typer.Option(help="Uploads and results are deleted after this.")] = 10.0,
    temporary_mb: Annotated[int, typer.Option(min=1, help="Most that uploads and results take on disk.")] = 1024,
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Open the web page: give it a clip, see what comes next. On this machine only, unless --host says otherwise."""
    from nextframe.web import WebLimits, serve

    be_quiet(quiet)
    load_plugins(plugin)
    limits = {
        "upload_mb": upload_mb,
        "pixels": pixels,
        "clip_frames": clip_frames,
        "decode_seconds": decode_seconds,
        "predict_seconds": predict_seconds,
        "horizon": horizon,
        "side": side,
        "queue": queue,
        "workers": workers,
        "keep_minutes": keep_minutes,
        "temporary_mb": temporary_mb,
    }
    found = _rows(rows)
    serve(
        models or (),
        rows=found,
        limits=WebLimits.parse(limits, "nextframe app"),
        host=host,
        port=port,
        show=browser,
    )


def _rows(paths: list[Path] | None) -> list[Path]:
    from nextframe.benchmark import find_rows

    return find_rows(paths) if paths else []
