"""Whether the script that trains may be run again by the processes that it starts."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from types import FrameType, ModuleType

from nextframe.core.errors import UserError

GUARD = "if __name__ == '__main__':"


def check_guard() -> None:
    """Refuse to start processes from lines that each of them would run again.

    A new process imports the script that started it. What stands there outside of a main guard would train again, in
    each of them. Notebooks and modules run with -m are not imported.

    Raises:
        UserError: the line of the script, and what to write.
    """
    main = sys.modules.get("__main__")
    file = _script(main)
    frame = _top_frame(main) if file is not None else None
    if file is None or frame is None:
        return
    if not _is_guarded(file, frame.f_lineno):
        where = f"{file.name}, line {frame.f_lineno}"
        raise UserError(f"{where}: workers and devices are processes that run the script again: put it under `{GUARD}`")


def _script(main: ModuleType | None) -> Path | None:
    """Return the file that new processes would import; None if there is none."""
    spec, name = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    if name is None or (spec is not None and spec.name.rpartition(".")[2] == "__main__"):
        return None
    return Path(name) if Path(name).is_file() else None


def _top_frame(main: ModuleType | None) -> FrameType | None:
    """Return the frame of the script's own lines, if they are what is running."""
    frame = inspect.currentframe()
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals is getattr(main, "__dict__", None):
            return frame
        frame = frame.f_back
    return None


def _is_guarded(file: Path, line: int) -> bool:
    """Return whether `line` is inside an `if` at the top of the script that asks for its name; True if unreadable."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    guards = [node for node in tree.body if isinstance(node, ast.If) and _asks_for_name(node.test)]
    return any(node.lineno <= line <= (node.end_lineno or node.lineno) for node in guards)


def _asks_for_name(test: ast.expr) -> bool:
    return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test))
