"""nextframe settings: everything that `--set` reaches, with type, default and meaning."""

from __future__ import annotations

from typing import Annotated

import typer

from nextframe.cli.options import Plugin, begin
from nextframe.cli.sections import SECTIONS


def settings(
    verb: Annotated[str | None, typer.Argument(help="A verb; without it, the verbs that have settings.")] = None,
    data: Annotated[
        str | None, typer.Option(metavar="NAME", help="Also list data.options of this data set; PATH: of your files.")
    ] = None,
    plugin: Plugin = None,
) -> None:
    """List what --set SECTION.FIELD=VALUE of a verb takes: type, default and meaning.

    Examples:
    nextframe settings train
    nextframe settings train --data moving-digits
    """
    from nextframe.cli.fields import describe, show, table
    from nextframe.cli.sections import data_options, load_config
    from nextframe.core.errors import UnknownNameError

    begin(plugin=plugin)
    if verb is None:
        for name, sections in SECTIONS.items():
            typer.echo(f"nextframe {name}: {', '.join(sections)}")
        return
    if verb not in SECTIONS:
        raise UnknownNameError("verb with settings", verb, SECTIONS)
    found = []
    for section, path in SECTIONS[verb].items():
        found += describe(load_config(path), prefix=f"{section}.") if path else []
    options = data_options(data) if data else None
    found += describe(options, prefix="data.options.") if options else []
    show(table(found))
    for section in ("model", "options"):
        if section in SECTIONS[verb]:
            typer.echo(f"\n{section}.FIELD: nextframe models NAME lists those of a model")
    if "settings" in SECTIONS[verb]:
        typer.echo(
            "\nsettings.NAME: a setting of OpenSTL's that the checkpoint does not say, by the name that it has there"
        )
    if "data" in SECTIONS[verb] and not data:
        typer.echo(f"\ndata.options.FIELD: nextframe settings {verb} --data NAME lists those of a data set")
