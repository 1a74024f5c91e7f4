"""How verbs read their words and show their help: groups, examples, and old spellings that still work."""

from __future__ import annotations

import re
import shlex
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from nextframe.cli.old import renew, renew_verb

Context = Any  # click's classes, or typer's own copies of them, which have no public name
HelpFormatter = Any

EXAMPLES = "\n\nExamples:\n"
GROUPS = {
    "See data": ("data", "prepare", "extract-features"),
    "Train": ("quickstart", "train", "sweep", "models", "recipes", "settings"),
    "Measure": ("evaluate", "benchmark", "leaderboard", "transfer", "latent"),
    "Predict": ("predict", "interpolate", "app"),
    "Share": ("push", "export", "import", "space"),
}
COMMON = (
    ("--device NAME", "auto, cpu, cuda or mps.  [default: auto]"),
    ("--seed N", "The random seed.  [default: 0; for train, the recipe's]"),
    ("--plugin FILE.py", "Run this file first: it registers models, data sets, ... of your own. Repeatable."),
    ("-q, --quiet", "Show only warnings and errors."),
    ("--debug", "Show the traceback of an error, and which kernels are chosen."),
)


class Verb(TyperCommand):
    """A verb whose docstring ends with examples."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Read the words after the verb; an old spelling is replaced by the new one, which a warning names."""
        words, missing = renew(str(self.name), args)
        if missing is not None:
            ctx.fail(f"Option '{missing}' requires an argument.")
        return super().parse_args(ctx, words)

    def format_help_text(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write what the verb does."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(self._parts()[0])

    def format_epilog(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write the examples verbatim, and where the other options are."""
        with formatter.section("Examples"):
            for line in self._parts()[1].splitlines():
                formatter.write(f"{'':{formatter.current_indent}}{line.strip()}\n")
        formatter.write_paragraph()
        takes_settings = any(option.name == "setting" for option in self.params)
        settings = f"All settings: nextframe settings {self.name}. " if takes_settings else ""
        formatter.write_text(f"{settings}Common options, such as --quiet: nextframe --help.")

    def examples(self) -> list[list[str]]:
        """Return the words of each example that follow `nextframe`, without comments."""
        lines = [shlex.split(line, comments=True) for line in self._parts()[1].splitlines()]
        return [words[words.index("nextframe") + 1 :] for words in lines]

    def _parts(self) -> tuple[str, str]:
        text, _, examples = (self.help or "").partition(EXAMPLES)
        return text, examples

    def get_short_help_str(self, limit: int = 45) -> str:
        """Return the first sentence of the help."""
        return re.split(r"(?<=\.)\s", " ".join(self._parts()[0].split()), maxsplit=1)[0]


class Verbs(TyperGroup):
    """All verbs, listed in groups."""

    def invoke(self, ctx: Context) -> Any:
        """Run the verb; one that is interrupted says so."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            code = getattr(error, "exit_code", 130)
            typer.echo(f"nextframe: {'interrupted' if code == 130 else 'terminated'}", err=True)
            raise typer.Exit(code) from None

    def resolve_command(self, ctx: Context, args: list[str]) -> Any:
        """Return the verb that the first word names, and the words after it."""
        return super().resolve_command(ctx, renew_verb(args))

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Write each group with its verbs, then the options that most verbs take."""
        width = max(map(len, self.commands))
        for title, names in GROUPS.items():
            with formatter.section(title):
                rows = [(name.ljust(width), self.commands[name].get_short_help_str()) for name in names]
                formatter.write_dl(rows)
        with formatter.section("Common options, after the verb"):
            formatter.write_dl(list(COMMON))
        formatter.write_paragraph()
        formatter.write_text("nextframe VERB --help shows a verb's options with examples.")
