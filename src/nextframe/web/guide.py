"""The help tab: how to read the page, which models there are, and where to read more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import metadata
from pathlib import Path

from nextframe.checkpoint import resolve_model

TEXT = Path(__file__).with_name("help.md")
READ_MORE = (
    "Documentation: in an installed package, this page and the commands above; in the source also the folder `docs`, "
    "with `docs/app.md` about this page."
)


def help_text(models: Mapping[str, str]) -> str:
    """Return the tab as Markdown; `models` has what to load for each name."""
    rows = [f"| `{name}` | {idea(spec)} |" for name, spec in models.items()]
    table = "\n".join(["### The models", "", "| model | idea, and what it was trained for |", "|---|---|", *rows])
    return "\n\n".join(filter(None, (TEXT.read_text(encoding="utf-8"), table, documentation(project_addresses()))))


def idea(spec: str) -> str:
    """Return what a model does, and what it was trained for, in a line."""
    net = resolve_model(spec)
    task = net.trained
    if task is None:
        return f"{net.idea} No training."
    colors = {1: ", grey", 3: ", colour"}.get(task.channels or 0, "")
    size = f"{task.size[0]}x{task.size[1]}" if task.size else "any size"
    data = f" on {task.data}" if task.data else ""
    frames = f"{task.horizon} frames" if task.horizon > 1 else "one frame"
    return f"{net.idea} Trained{data}: {frames} from {task.context}, {size}{colors}."


def project_addresses() -> list[str]:
    """Return the addresses that the installed package names, as "Label, address"."""
    return metadata("nextframe").get_all("Project-URL") or []


def documentation(addresses: Iterable[str]) -> str:
    """Return a link to the documentation, or where there is more to read if no address of it is known."""
    known = {
        label.strip().lower(): address.strip() for label, _, address in (line.partition(",") for line in addresses)
    }
    address = known.get("documentation") or known.get("homepage") or known.get("repository")
    if address:
        return f"[Documentation]({address})"
    return READ_MORE
