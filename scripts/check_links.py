"""Finds links of our Markdown pages that lead nowhere: a file, a folder or a heading that is not there.

`make lint` runs it. Nothing is fetched: links to other sites are not followed.

Usage: python scripts/check_links.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CODE = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"\]\(<?([^)>\s]+)>?(?:\s+\"[^\"]*\")?\)")  # [text](target "title"), ![text](target)
HTML = re.compile(r"(?:src|href)=\"([^\"]+)\"")


def pages() -> list[Path]:
    """Return every Markdown page that git tracks or would add, but for fixtures of tests."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in listed if not name.startswith("tests/") and (ROOT / name).exists()]


def links(text: str) -> Iterator[tuple[str, str, int]]:
    """Yield path, anchor and line of every link and image of a page that does not lead to another site."""
    text = CODE.sub(lambda found: "\n" * found[0].count("\n"), text)
    text = re.sub(r"`[^`]*`", lambda found: "\n" * found[0].count("\n"), text)
    for number, line in enumerate(text.splitlines(), 1):
        for target in INLINE.findall(line) + HTML.findall(line):
            if not re.match(r"[a-z]+:", target):
                path, _, anchor = target.partition("#")
                yield path, anchor, number


def anchors(text: str) -> set[str]:
    """Return what the headings of a page are called in links, as GitHub makes it; a second one of a name ends in -1."""
    found: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *#*$", CODE.sub("", text), re.MULTILINE):
        words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        number = 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


def faults(page: Path, root: Path = ROOT) -> list[str]:
    """Return a line for each link of `page` that leads nowhere, or out of `root`."""
    found = []
    for path, anchor, number in links(page.read_text(encoding="utf-8")):
        target = (page.parent / path).resolve() if path else page.resolve()
        where = f"{page.relative_to(root).as_posix()}:{number}: {path}{'#' if anchor else ''}{anchor}"
        if root.resolve() not in (target, *target.parents):
            found.append(f"{where}: leads out of the repository")
        elif not target.exists():
            found.append(f"{where}: there is no such file")
        elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
            found.append(f"{where}: the page has no such heading")
    return found


def main() -> int:
    """Print every link that leads nowhere; 1 if there is any."""
    found = [line for page in pages() for line in faults(page)]
    sys.stdout.write("\n".join([*found, f"{len(found)} links to mend" if found else "links: fine"]) + "\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
