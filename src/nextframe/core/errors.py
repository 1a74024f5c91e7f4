"""Errors that a user can act on: one line that says what is wrong and what to do, and an exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from os import PathLike


class NextframeError(Exception):
    """A failure with one clear line; the command line shows it without a traceback and exits with `exit_code`."""

    exit_code = 1


class UserError(NextframeError):
    """The user's mistake: a wrong name, field, file or value. Exit code 2."""

    exit_code = 2


class UnknownNameError(UserError):
    """A name that is not registered; the line gives the nearest ones and all that there are."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} '{name}'{did_you_mean(name, known)}")


class BadInputError(UserError):
    """A file that cannot be used: which file, what is wrong with it, what to do."""

    def __init__(self, path: str | PathLike[str], what: str, fix: str = "") -> None:
        self.path, self.what, self.fix = str(path), what, fix
        super().__init__(f"{path}: {what}" + (f"; {fix}" if fix else ""))


class NotSupportedError(UserError):
    """A model or format cannot do what was asked of it."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'? (one of: ...)" for the names nearest to `name`, or just what there is."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{hint} (one of: {', '.join(names)})" if names else hint
