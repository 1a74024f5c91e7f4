"""nextframe import: a checkpoint of OpenSTL or Keras becomes a model folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextframe.cli.options import Quiet, Set, begin
from nextframe.cli.sections import read_settings, section


def complete_translations(incomplete: str) -> list[str]:
    """Return the models whose checkpoints can be read and whose names begin with `incomplete`."""
    from nextframe.checkpoint.foreign.table import TRANSLATIONS

    return [name for name in TRANSLATIONS if name.startswith(incomplete)]


def import_(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT",
            help="Lightning's .ckpt, a .pth of weights, Keras's .keras or .h5, or the folder of a SavedModel.",
        ),
    ],
    model: Annotated[
        str,
        typer.Option("--as", metavar="MODEL", help="Which model it is of.", autocompletion=complete_translations),
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The model folder to write.")],
    setting: Set = None,
    quiet: Quiet = False,
) -> None:
    """Make a model folder of a checkpoint that OpenSTL or Keras wrote. Nothing in the file is executed.

    What a file of weights alone does not say can be set: model.FIELD is the model's own, settings.NAME OpenSTL's.

    Examples:
    nextframe import best.ckpt --as predrnn -o runs/imported
    nextframe import conv_lstm.keras --as convlstm-keras -o runs/imported
    nextframe import weights.pth --as predrnn -o runs/imported --set settings.patch_size=4
    nextframe import checkpoint.pth --as predformer -o runs/imported --set model.context=10 --set model.heads=8
    """
    from nextframe.checkpoint.foreign.importing import describe, import_checkpoint

    begin(quiet)
    given = read_settings("import", setting)
    fields, settings = section(given, "model"), section(given, "settings")
    typer.echo(describe(import_checkpoint(checkpoint, model, output, fields, settings)))
