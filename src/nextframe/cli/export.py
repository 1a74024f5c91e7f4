"""nextframe export: a model as ONNX, checked against the model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Plugin, Quiet, Size, begin, parse_size


def export(
    model: Annotated[str, typer.Argument(metavar="RUN_OR_MODEL", help="A run folder, or user/name on the Hub.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .onnx file.")] = Path("model.onnx"),
    size: Size = None,
    plugin: Plugin = None,
    quiet: Quiet = False,
) -> None:
    """Write a model as ONNX: one step of a recurrent model, or the whole of any other. Checked with onnxruntime.

    Examples:
    nextframe export runs/mine -o model.onnx --size 64x64
    """
    from nextframe.publish import export as export_model

    begin(quiet, plugin)
    done = export_model(model, output, size=parse_size(size))
    inputs = ", ".join(f"{name} {shape}" for name, shape in done.inputs.items())
    typer.echo(f"{done.path}  ({done.kind}: {inputs}; within {done.difference:.1g} of the model)")
