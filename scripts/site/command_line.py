"""Write docs/reference/cli.md and docs/reference/settings.md from the command line itself; `make docs` runs it.

Usage: python scripts/site/command_line.py [FOLDER]
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import typer

from nextframe.benchmark.cells import markdown_table
from nextframe.cli import app
from nextframe.cli.fields import Field, describe
from nextframe.cli.sections import A_PATH, DATA_OPTIONS, SECTIONS, load_config
from nextframe.cli.verb import COMMON, GROUPS, Verb

ROOT = Path(__file__).resolve().parents[2]
CLI = """# Command line

Written by `make docs` from the command line; `nextframe VERB --help` says the same. Every verb also takes the
[common options](#common-options), and many take `--set SECTION.FIELD=VALUE`: [the settings](settings.md).
Bad input ends with one line and exit code 2, a failure with 1, Ctrl-C with 130.
"""
SETTINGS = """# Settings

Written by `make docs` from the code; `nextframe settings VERB` says the same. What has no option of its own is set by
`--set SECTION.FIELD=VALUE`, as often as you like; a value is written as in YAML: `--set training.batch=32`,
`--set data.size=[64,64]`, `--set training.compile=true`. Settings of a model: `nextframe models NAME`; of a recipe,
with what it changes: `nextframe recipes NAME`.
"""


def cell(text: str) -> str:
    """Return text for a cell of a table: words in angle brackets and stars stay as they are."""
    return re.sub(r"([*<])", r"\\\1", " ".join(text.split()))


def option(row: tuple[str, str]) -> list[str]:
    """Return the cells of an option: its names, what it does, and its default."""
    names, text = row
    found = re.search(r"\s*\[(?:default: )?([^\]]*(?:\[[^\]]*\])?[^\]]*)\]$", text)
    words = text[: found.start()] if found else text
    default = re.sub(r"^\((.*)\)(?=$|;)", r"\1", found[1]) if found else ""
    return [f"`{names}`", cell(words), cell(default)]


def section(verb: Verb, context: Any) -> str:
    """Return a verb: what it does, how it is called, arguments, options, examples."""
    text, examples = verb._parts()
    usage = " ".join(verb.collect_usage_pieces(context))
    shown = [p for p in verb.get_params(context) if not getattr(p, "hidden", False) and p.name != "help"]
    rows = [record for record in (param.get_help_record(context) for param in shown) if record]
    lines = "\n".join(line.strip() for line in examples.strip().splitlines())
    parts = [
        f"### {verb.name}",
        re.sub(r"(?<=\S)\n(?=\S)", " ", text.strip()),
        f"`nextframe {verb.name} {usage}`",
        markdown_table(["", "what it does", "default"], [option(row) for row in rows]),
        f"```bash\n{lines}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def cli_page() -> str:
    """Return the page of all verbs, in the groups of `nextframe --help`."""
    group: Any = typer.main.get_command(app)
    parts = [CLI]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        for name in names:
            verb = group.commands[name]
            parts.append(section(verb, verb.make_context(name, [], resilient_parsing=True)))
    parts.append("## Common options\n")
    parts.append(markdown_table(["", "what it does", "default"], [option(row) for row in COMMON]) + "\n")
    return "\n".join(parts)


def table(fields: Iterable[Field]) -> str:
    """Return fields as a table."""
    rows = [[f"`{field.name}`", cell(field.type), cell(field.default), cell(field.meaning)] for field in fields]
    return markdown_table(["setting", "type", "default", "meaning"], rows)


def settings_page() -> str:
    """Return the page of all sections: each once, with the verbs that take it, then those of each data set."""
    takes: dict[tuple[str, str], list[str]] = {}
    for verb, sections in SECTIONS.items():
        for name, config in sections.items():
            takes.setdefault((name, config), []).append(verb)
    parts = [SETTINGS]
    names = [name for name, config in takes if config]
    for (name, config), verbs in takes.items():
        if config:
            of = ", ".join(f"`nextframe {verb}`" for verb in verbs)
            title = f"{name} of {', '.join(verbs)}" if names.count(name) > 1 else name
            fields = table(describe(load_config(config), prefix=f"{name}."))
            parts.append(f"## {title}\n\nTaken by {of}.\n\n{fields}\n")
    parts.append("## data.options\n\nWhat one kind of data takes beside `data.`.\n")
    for name, config in DATA_OPTIONS.items():
        title = "your own files" if name == A_PATH else name
        parts.append(f"### {title}\n\n{table(describe(load_config(config), prefix='data.options.'))}\n")
    return "\n".join(parts)


def main() -> int:
    """Write both pages."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "reference"
    (folder / "cli.md").write_text(cli_page(), encoding="utf-8")
    (folder / "settings.md").write_text(settings_page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
