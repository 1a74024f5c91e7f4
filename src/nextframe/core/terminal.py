"""Text of users on a terminal: names are shown as they are, never obeyed."""

from __future__ import annotations

import io
import logging
import sys
import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

LAYOUT = "\n\t"
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # Unicode: control, format, half of a pair, line separators
JOINERS = "\u200c\u200d"  # format characters that are part of words and of emoji


def accept_all_letters() -> None:
    """Let output show a question mark for a letter that its encoding lacks: that of a file on Windows lacks arrows."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def visible(text: str, keep: str = LAYOUT) -> str:
    """Return `text` with control characters and those that change the direction of writing as \\xNN or \\uNNNN.

    A terminal obeys them: a name could clear the screen or write over other lines. Those in `keep` stay.
    """
    return "".join(char if _is_plain(char, keep) else _escaped(char) for char in text)


def _is_plain(char: str, keep: str) -> bool:
    return char.isprintable() or char in keep or char in JOINERS or unicodedata.category(char) not in HIDDEN


def _escaped(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}"


def plain_console(**options: Any) -> Console:
    """Return a console that takes no text for markup, emoji codes or control sequences; style with `rich.text`."""
    from rich.console import Console
    from rich.text import Text

    class Plain(Console):
        def render_str(self, text: str, **named: Any) -> Text:
            return super().render_str(visible(text), **named)

    return Plain(markup=False, emoji=False, highlight=False, **options)


class VisibleFormatter(logging.Formatter):
    """Formats log lines with the control characters of names made visible."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of `record`."""
        return visible(super().format(record))
