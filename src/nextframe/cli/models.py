"""nextframe models: what there is, and one model's idea, paper, fields and defaults."""

from __future__ import annotations

from typing import Annotated

import typer


def models(
    name: Annotated[str | None, typer.Argument(help="One model; all of them by default.")] = None,
) -> None:
    """List the models and recipes, or show one model's idea, paper, config fields and defaults."""
    from rich.console import Console

    console = Console(soft_wrap=True)
    if name is None:
        _list(console)
    else:
        _show(console, name)


def _list(console: object) -> None:
    from rich.table import Table

    from nextframe.checkpoint import needs_training
    from nextframe.models import MODELS
    from nextframe.training import RECIPES

    table = Table("model", "", "idea", box=None, pad_edge=False)
    for name in MODELS:
        table.add_row(name, "trained" if needs_training(name) else "baseline", MODELS.get(name).idea)
    console.print(table)  # type: ignore[attr-defined]
    console.print("\nrecipes: " + ", ".join(RECIPES))  # type: ignore[attr-defined]


def _show(console: object, name: str) -> None:
    from rich.table import Table

    from nextframe.models import MODELS

    model = MODELS.get(name)
    console.print(f"[bold]{name}[/bold]: {model.idea}")  # type: ignore[attr-defined]
    if model.paper:
        console.print(f"paper: {model.paper}")  # type: ignore[attr-defined]
    table = Table("field", "type", "default", "meaning", box=None, pad_edge=False)
    for field, info in model.Config.model_fields.items():
        kind = getattr(info.annotation, "__name__", str(info.annotation))
        table.add_row(field, kind, repr(info.get_default(call_default_factory=True)), info.description or "")
    console.print(table)  # type: ignore[attr-defined]
