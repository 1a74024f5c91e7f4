"""Errors that a user can act on: one line that says what is wrong and what to do, and an exit code."""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable
from os import PathLike

MOST_SHOWN = 200  # characters of an input that a message repeats: the rest would hide what is wrong
_LONG_QUOTE = re.compile(rf"(?<!\w)'([^']{{{MOST_SHOWN}}})[^']+'(?!\w)")
_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring, _BRIEF.maxother, _BRIEF.maxlong = 3, MOST_SHOWN, MOST_SHOWN, MOST_SHOWN
_BRIEF.maxlist = _BRIEF.maxtuple = _BRIEF.maxdict = _BRIEF.maxset = 20


class NextframeError(Exception):
    """A failure with one clear line; the command line shows it without a traceback and exits with `exit_code`.

    Of what the line repeats in quotes, at most 200 characters stay.
    """

    exit_code = 1

    def __init__(self, line: str = "") -> None:
        super().__init__(_LONG_QUOTE.sub(r"'\1...'", line))


class UserError(NextframeError):
    """The user's mistake: a wrong name, field, file or value. Exit code 2."""

    exit_code = 2


class UnknownNameError(UserError):
    """A name that is not registered; the line gives the nearest ones and all that there are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        name = cut(name)
        super().__init__(f"unknown {kind} '{name}'{did_you_mean(name, known)}")


class BadInputError(UserError):
    """A file that cannot be used: which file, what is wrong with it, what to do."""

    def __init__(self, path: str | PathLike[str], what: str, fix: str = "") -> None:
        self.path, self.what, self.fix = str(path), _LONG_QUOTE.sub(r"'\1...'", what), fix
        super().__init__(f"{_cut_inside(self.path)}: {self.what}" + (f"; {fix}" if fix else ""))


class NotSupportedError(UserError):
    """A model or format cannot do what was asked of it."""


def cut(text: str) -> str:
    """Return `text`, or its first 200 characters and an ellipsis."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _cut_inside(path: str) -> str:
    """Return `path`, or where it begins and ends: the end says most."""
    return path if len(path) <= MOST_SHOWN else f"{path[: MOST_SHOWN // 4]}...{path[-MOST_SHOWN * 3 // 4 :]}"


def shown(value: object) -> str:
    """Return `value` as Python writes it, at most 200 characters of it, at little cost however large it is."""
    try:
        return cut(_BRIEF.repr(value))
    except ValueError:  # an integer of thousands of digits
        return f"a huge {type(value).__name__}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'? (one of: ...)" for the names nearest to `name`, or just what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{hint} (one of: {', '.join(names)})" if names else hint
