"""Write docs/bad-input.md: what the reader does with every file of a folder of damaged and unusual media.

Usage: python scripts/bad_input.py FOLDER [-o docs/bad-input.md]
Each file is read to its end in a process of its own, so that a crash or a hang is seen and counted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

from nextframe.core.errors import BadInputError
from nextframe.data.reader import open_source

SECONDS = 60.0  # after which a file counts as a hang
HEAD = """# Bad input

What the reader does with each file of a collection of damaged, hostile and unusual media, when it is asked for every
frame. A file is either read or refused with one line; the line is what the command line shows. Written by
`python scripts/bad_input.py FOLDER`; a test compares it with what the reader does now.

"""


@dataclass(frozen=True)
class Outcome:
    """What came of one file: read or refused (None: neither, which is a bug), the line, seconds and MiB taken."""

    name: str
    read: bool | None
    line: str
    seconds: float = 0.0
    memory: float = 0.0


def try_file(path: Path, name: str) -> Outcome:
    """Read every frame of `path`; `name` stands for the path in what is shown."""
    try:
        source = open_source(path)
        count = sum(1 for _ in source.frames())
    except BadInputError as error:
        return Outcome(name, False, str(error).replace(str(path), Path(name).name))
    color = "grey" if source.channels == 1 else "RGB"
    frames = f"{count} frame{'' if count == 1 else 's'}"
    facts = f"{source.kind}, {frames} of {source.width}x{source.height} {color}, {source.fps:.4g} frames/s"
    return Outcome(name, True, "; ".join([facts, *source.notes]))


def _child(path: Path, name: str, answers: Any) -> None:
    started = time.perf_counter()
    outcome = try_file(path, name)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers.put(Outcome(name, outcome.read, outcome.line, seconds, peak))


def try_apart(path: Path, name: str) -> Outcome:
    """Do `try_file` in a process of its own; a crash or a hang is an outcome too."""
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    child = context.Process(target=_child, args=(path, name, answers), daemon=True)
    child.start()
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            outcome: Outcome = answers.get(timeout=0.2)
            child.join()
            return outcome
        except Empty:
            if child.exitcode is not None and answers.empty():
                return Outcome(name, None, f"CRASH: exit code {child.exitcode}")
    child.kill()
    return Outcome(name, None, f"HANG: no answer within {SECONDS:g} s")


def all_files(folder: Path) -> list[tuple[Path, str]]:
    """Return every file below `folder` with its name there, sorted."""
    files = [Path(where) / name for where, _, names in os.walk(folder) for name in names]
    return sorted((file, file.relative_to(folder).as_posix()) for file in files)


def row(outcome: Outcome) -> str:
    """Return the table's line for one file."""
    word = {True: "read", False: "refused", None: "**bug**"}[outcome.read]
    return f"| `{outcome.name}` | {word} | {outcome.line.replace('|', '/')} |"


def page(outcomes: list[Outcome]) -> str:
    """Return the whole page as Markdown."""
    read, refused, bugs = (sum(o.read is kind for o in outcomes) for kind in (True, False, None))
    slowest, largest = max(o.seconds for o in outcomes), max(o.memory for o in outcomes)
    summary = (
        f"{len(outcomes)} files: {read} read, {refused} refused, {bugs} crashed or hung. The slowest took "
        f"{slowest:.1f} s; the most memory that a process took was {largest:.0f} MiB, PyTorch included.\n\n"
    )
    return HEAD + summary + "\n".join(["| file | | line |", "|---|---|---|", *map(row, outcomes)]) + "\n"


def main() -> None:
    """Read the arguments and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("docs/bad-input.md"))
    arguments = parser.parse_args()
    outcomes = [try_apart(path, name) for path, name in all_files(arguments.folder)]
    temporary = arguments.output.with_suffix(".tmp")
    temporary.write_text(page(outcomes), encoding="utf-8")
    os.replace(temporary, arguments.output)


if __name__ == "__main__":
    main()
