"""Links, anchors, files and commands that the prose of the pages names are there; nothing is run or fetched."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import typer
import yaml

from nextframe.cli import app
from pages import PAGES, ROOT, name_of, spans

CHECK = runpy.run_path(str(ROOT / "scripts" / "check_links.py"))
LINKED = [*PAGES, ROOT / "CHANGELOG.md"]
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


def test_every_link_leads_somewhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert CHECK["main"]() == 0, capsys.readouterr().out
    assert set(PAGES) < set(CHECK["pages"]())


def test_a_link_that_leads_nowhere_is_found_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# B\n## A `part`\n")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n[a](b.md) [b](b.md#a-part) [c](#page) [d](https://x.y/z) `[e](no.md)`\n"
        '```bash\n# [f](no.md)\n```\n[g](no.md) and [h](b.md#no)\n![i](../x.png)\n<img src="no.png">\n'
    )
    assert CHECK["faults"](page, tmp_path) == [
        "page.md:6: no.md: there is no such file",
        "page.md:6: b.md#no: the page has no such heading",
        "page.md:7: ../x.png: leads out of the repository",
        "page.md:8: no.png: there is no such file",
    ]


def entries(nav: list[dict[str, object] | str]) -> list[str]:
    """The files of a `nav` of mkdocs, in order."""
    found: list[str] = []
    for entry in nav:
        value = entry if isinstance(entry, str) else next(iter(entry.values()))
        found += [value] if isinstance(value, str) else entries(value)
    return found


def test_every_page_has_one_place_in_the_site() -> None:
    """A page below docs/ without a line in the `nav` of mkdocs.yml ends `make docs`."""
    nav = entries(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"])
    below = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if (ROOT / "docs") in page.parents}
    notebooks = {f"notebooks/{path.stem}.md" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert sorted(nav) == sorted(below | notebooks | {"contributing.md", "changelog.md"})


def test_the_how_to_pages_that_are_called_short_are() -> None:
    """ "A screen each, or a little more": 300 words, code and tables with them."""
    folder = ROOT / "docs" / "how-to"
    short, long = (folder / "index.md").read_text(encoding="utf-8").split("## At length")
    words = {
        link: len((folder / link).read_text(encoding="utf-8").split()) for link in re.findall(r"\]\((.+?)\)", short)
    }
    assert words
    assert {link: count for link, count in words.items() if count > 300} == {}
    assert {path.name for path in folder.glob("*.md")} <= {"index.md", *words, *re.findall(r"\]\((.+?)\)", long)}


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


def test_links_and_headings_are_read_as_they_are_on_github() -> None:
    text = "# `A` title, of *two*\n## A title\n## A title\n[x](b.md#c) ![y](z.png) `[no](link)` [w](https://x.y)\n"
    assert CHECK["anchors"](text) == {"a-title-of-two", "a-title", "a-title-1"}
    assert list(CHECK["links"](text)) == [("b.md", "c", 4), ("z.png", "", 4)]
