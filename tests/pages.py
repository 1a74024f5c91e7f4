"""The pages as a reader meets them: blocks of code, and the commands in them."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
LANGUAGES = {"bash", "sh", "python", "yaml", ""}
SHELL = {"bash", "sh"}

FENCE = re.compile(
    r"(?:^<!-- not run: (?P<mark>[^\n]+?) -->\n)?^```(?P<language>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
# In front of a block: any word that bash knows no program for is written down, with what follows it, and "works".
RECORD = """
command_not_found_handle() { printf '%s\\0' "$@" >&3; printf '\\n\\0' >&3; }
for builtin in cd export source exec eval; do
    eval "$builtin() { command_not_found_handle $builtin \\"\\$@\\"; }"
done
set -eu
"""


@dataclass(frozen=True)
class Block:
    """A fenced block: where it stands, what it holds, and the reason of a mark `<!-- not run: ... -->` above it."""

    page: str
    line: int
    language: str
    text: str
    mark: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def name_of(page: Path) -> str:
    """The page's path below the root."""
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order; the line is that of the fence."""
    text = read(page)
    assert len(re.findall("^ *```", text, re.MULTILINE)) == 2 * len(FENCE.findall(text)), f"{page}: a fence is open"
    return [
        Block(name_of(page), text.count("\n", 0, found.start("text")), *found.group("language", "text", "mark"))
        for found in FENCE.finditer(text)
    ]


def commands(block: Block, folder: Path) -> list[list[str]]:
    """The words of every command of a shell block, read by bash itself: comments, quotes, `\\`, `&&`, $NAME.

    Nothing is run: bash finds no program. `folder` is the home, and where bash is.
    """
    text = block.text.replace(".venv/bin/", "")  # a clone's own programs
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", f"exec 3>&1 1>&2\n{RECORD}{text}"],
        capture_output=True, text=True, cwd=folder, env={"PATH": "/nowhere", "HOME": str(folder)}, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), f"{block}: bash says {done.stderr}"
    return [command.split("\0")[:-1] for command in done.stdout.split("\n\0")[:-1]]


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return FENCE.sub("", read(page))


def spans(page: Path) -> list[str]:
    """What stands between backticks in the prose, on one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(page))]
