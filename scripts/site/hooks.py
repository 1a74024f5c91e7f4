"""What mkdocs does beside building: pages from outside of docs/, files that pages link to, anchors as on GitHub.

mkdocs.yml names this file; nothing else calls it.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}  # of the repository, in the site
COPIED = "files"  # the folder of the site for results and weights that pages link to
LINK = re.compile(r"(?<=\]\()([^)\s#:]+)(?=[)#\s])")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def on_config(config: Any) -> Any:
    """Call headings in links what GitHub calls them."""
    config["mdx_configs"].setdefault("toc", {})["slugify"] = slug
    return config


def slug(heading: str, separator: str) -> str:
    """Return GitHub's name of a heading: lower case, spaces as hyphens, no other signs."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", separator)


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of PAGES, one of each notebook, and a copy of each file outside of docs/ that a page links to."""
    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text(encoding="utf-8")))
    for notebook in sorted((DOCS / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=as_page(notebook)))
    pages = files.documentation_pages()
    while pages:  # those that are copied may link to others
        linked = {place(target) for file in pages for target in targets(file)} - {None}
        new = [copied(config, path) for path in sorted(linked) if is_copied(path)]
        new = [file for file in new if files.get_file_from_path(file.src_uri) is None]
        for file in new:
            files.append(file)
        pages = [file for file in new if file.is_documentation_page()]
    return files


def as_page(notebook: Path) -> str:
    """Return a notebook as a page: its prose and its code, with a link to the notebook itself."""
    cells = [(cell["cell_type"], "".join(cell["source"])) for cell in json.loads(notebook.read_text())["cells"]]
    parts = [f"```python\n{text}\n```" if kind == "code" else text for kind, text in cells]
    return "\n\n".join([*parts[:1], f"[The notebook itself]({notebook.name}), to run.", *parts[1:]]) + "\n"


def is_copied(path: str) -> bool:
    """Return whether a file of the repository is copied into the site, being outside of docs/."""
    return (ROOT / path).is_file() and path not in PAGES and not path.startswith("docs/")


def copied(config: Any, path: str) -> File:
    """Return a file of the repository as one of the site; a page as mkdocs reads it."""
    return File.generated(config, f"{COPIED}/{path}", abs_src_path=str(ROOT / path))


def source(file: File) -> Path:
    """Return the path in the repository that a page's links begin at."""
    named = {page: name for name, page in PAGES.items()}
    below = named.get(file.src_uri) or file.src_uri.removeprefix(f"{COPIED}/")
    copied = file.src_uri in named or file.src_uri.startswith(f"{COPIED}/")
    return (ROOT if copied else DOCS) / below


def targets(file: File) -> list[Path]:
    """Return what a page links to, as absolute paths."""
    text = CODE.sub("", file.content_string)
    return [source(file).parent / target for target in LINK.findall(text)]


def place(target: Path) -> str | None:
    """Return the path of `target` in the repository, None outside of it."""
    path = os.path.relpath(os.path.normpath(target), ROOT)
    return None if path.startswith("..") else Path(path).as_posix()


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links that lead out of docs/ to where their targets are in the site."""

    def turned(found: re.Match[str]) -> str:
        path = place(source(page.file).parent / found[0])
        at = path and (path.removeprefix("docs/") if path.startswith("docs/") else PAGES.get(path, f"{COPIED}/{path}"))
        known = at is not None and files.get_file_from_path(at) is not None
        return posixpath.relpath(at, posixpath.dirname(page.file.src_uri)) if known else found[0]

    parts = re.split(f"({CODE.pattern})", markdown, flags=CODE.flags)
    return "".join(part if number % 2 else LINK.sub(turned, part) for number, part in enumerate(parts))
