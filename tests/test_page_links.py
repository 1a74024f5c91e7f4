"""Links, anchors, files and commands that the prose of the pages names are there; nothing is run or fetched."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from nextframe.cli import app
from pages import LINKED, PAGES, ROOT, anchors, links, name_of, spans

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def test_commands_in_the_prose_name_what_there_is() -> None:
    """`nextframe VERB --option` in a sentence: the verb exists, and has the option. Tables of results tell history."""
    group = typer.main.get_command(app)
    for page in PAGES:
        if page.name == "leaderboard.md":
            continue
        for span in spans(page):
            if found := re.match(r"nextframe ([a-z][a-z-]*)(?= |$)", span):
                verb = group.commands.get(found[1])
                assert verb is not None, f"{name_of(page)}: `{span}`"
                options = {
                    option for parameter in verb.params for option in (*parameter.opts, *parameter.secondary_opts)
                }
                unknown = set(re.findall(r"(?<= )--[a-z][a-z-]*", span)) - options - {"--help", "--debug"}
                assert not unknown, f"{name_of(page)}: `{span}`"
            elif found := re.fullmatch(r"make ([a-z-]+)", span):
                assert re.search(rf"^{found[1]}:", MAKEFILE, re.MULTILINE), f"{name_of(page)}: `{span}`"


def test_every_link_leads_somewhere() -> None:
    dead = []
    for page in LINKED:
        for path, anchor in links(page):
            target = (page.parent / path).resolve() if path else page
            lost = anchor and target.suffix == ".md" and target.is_file() and anchor not in anchors(target)
            if not target.exists() or ROOT not in (target, *target.parents) or lost:
                dead.append(f"{name_of(page)}: {path}#{anchor}")
    assert dead == []


def test_every_file_that_is_named_is_there() -> None:
    """`docs/x.md`, `tests/test_x.py`, `results/x.json`, `src/nextframe/x/`: from the root, or from the package."""
    named = re.compile(r"(?:(?:src|tests|docs|results|bench|scripts)/[\w./-]*\w/?)(?= |$|:)")
    lost = [
        f"{name_of(page)}: `{span}`"
        for page in LINKED
        for span in spans(page)
        for name in named.findall(span if " " not in span else "")
        if not any((ROOT / name).parent.glob(f"{(ROOT / name).name}*"))
    ]
    assert lost == []


def test_links_and_headings_are_read_as_they_are_on_github(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# `A` title, of *two*\n## A title\n## A title\n[x](b.md#c) ![y](z.png) `[no](link)` [w](https://x.y)\n"
    )
    assert anchors(page) == {"a-title-of-two", "a-title", "a-title-1"}
    assert list(links(page)) == [("b.md", "c"), ("z.png", "")]
