"""Finds the worst words of our prose and says what to write instead; `make lint` runs it.

Usage: python scripts/check_words.py
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
READ = ("*.py", "*.md", "*.j2", "*.sh", "Makefile")
# Paths that are not read, each with the reason.
SKIP = {
    "tests/": "reads messages and quotes them; its own prose comes later",
    "results/": "written by commands",
    "scripts/check_words.py": "quotes the patterns",
}
# Pattern, in any case, and what to write instead. A hyphen or underscore beside a word makes it a name.
WORDS = {
    r"(?<![-\w])films?(?![-\w])": "video",
    r"(?<![-\w])pictures?(?![-\w])": "image",
    r"\bfootage\b": "video, or frames",
    r"\bleft out\b|\bleav(?:e|es|ing)\b[^.:;]{0,40} out\b(?! of)": "skip, omit or remove",
    r"(?<!there )\b(?:is|are) no (?!longer\b|more\b|less\b|better\b|worse\b)": "is not a",
    r"\beverything random\b": "the random seed",
    r"\b(?:is|are) not yours\b": "permission denied",
    r"\bsystem [1-9]\b|\bsystems\.md\b": "the paper or code by its name",
    r"\bframes given\b|\bgiven frames?\b": "context frames",
    r"\basked frames?\b|\bframes asked\b": "target frames",
    r"\bwhere (?:there (?:is|are) none|none (?:is|are))\b": "if there is none",
    r"\bwhoever\b": "if you, or anyone who",
    r"\bof one shape\b": "of the same shape",
    r"\banew\b": "again",
    r"\bin one go\b": "at once",
    r"\bwith commas between\b": "separated by commas",
    r"\bso many (?:pixels|frames|clips|bytes|channels)\b": "this many",
}
# Quotations that stay, each with the reason.
QUOTED = {
    "--picture": "an option's name",
    '{"film": found': "a key of a results file",
}


def files() -> list[str]:
    """Return the names of the files whose prose is checked."""
    listed = subprocess.run(["git", "ls-files", *READ], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [n for n in listed.splitlines() if not n.startswith(tuple(SKIP)) and (ROOT / n).exists()]


def findings(name: str, text: str) -> list[str]:
    """Return a line for each pattern that a line of file `name` has; code blocks of Markdown are not read."""
    found = []
    code = False
    for number, line in enumerate(text.splitlines(), 1):
        code ^= name.endswith(".md") and line.startswith("```")
        if code:
            continue
        for quoted in QUOTED:
            line = line.replace(quoted, "")
        for match, better in ((p.search(line), better) for p, better in PATTERNS):
            if match:
                found.append(f"{name}:{number}: '{match[0].strip()}': write {better}")
    return found


PATTERNS = [(re.compile(pattern, re.IGNORECASE), better) for pattern, better in WORDS.items()]


def main() -> int:
    """Print every finding; 1 if there is any."""
    found = [line for name in files() for line in findings(name, (ROOT / name).read_text(encoding="utf-8"))]
    sys.stdout.write("\n".join([*found, f"{len(found)} words to replace" if found else "words: fine"]) + "\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
