"""The pages of five published predictors: each point of an original names a test or a command that is there.

A page has a table whose last column is "shown by", one row for each point of the original ("not done" if it is not
here), and a table of figures whose last column is "from": the results file that has the figure, also a trained
model's own, or "not measured".
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from pages import ROOT, SHELL, blocks, read
from test_pages import parse

PAGES = sorted((ROOT / "docs" / "systems").glob("*.md"))
FEWEST, MOST = 10, 45  # points of an original


def table(text: str, last: str) -> list[list[str]]:
    """The cells of every row of the tables whose last column has this head."""
    rows: list[list[str]] = []
    inside = False
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]] if line.startswith("|") else []
        if cells and cells[-1] == last:
            inside = True
        elif not cells:
            inside = False
        elif inside and not set("".join(cells)) <= set("-: "):
            rows.append(cells)
    return rows


@cache
def names_in(path: Path) -> frozenset[str]:
    """The names of the tests of a file, those in classes too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def is_there(span: str) -> bool:
    """Whether a test, or a command, that stands between backticks exists."""
    if named := re.fullmatch(r"(tests/\w+\.py)::(test_\w+)", span):
        path = ROOT / named[1]
        return path.is_file() and named[2] in names_in(path)
    program, *words = span.split()
    if program == "python":
        return bool(words) and (ROOT / words[0]).is_file()
    if program != "nextframe":
        return False
    try:
        parse(words)
    except Exception:  # noqa: BLE001 - click has usage errors, and so has typer a copy of them
        return False
    return True


def lost(rows: list[list[str]]) -> list[str]:
    """What is wrong with the rows of a "shown by" table: nothing is named, or something that is not there."""
    found = []
    for *point, shown in rows:
        if shown == "not done":
            continue
        spans = re.findall(r"`([^`]+)`", shown)
        found += [f"{point[0]}: {span}" for span in spans if not is_there(span)] if spans else [f"{point[0]}: nothing"]
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_point_of_an_original_is_shown_by_what_is_there(page: Path) -> None:
    rows = table(read(page), "shown by")
    assert FEWEST <= len(rows) <= MOST
    assert lost(rows) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_figure_is_of_a_results_file_or_not_measured(page: Path) -> None:
    rows = table(read(page), "from")
    assert rows
    for *figure, source in rows:
        files = re.findall(r"\((?:\.\./)+((?:results/|weights/[^/]+/results)[^)]+)\)", source)
        assert source == "not measured" or files, figure
        assert all((ROOT / file).is_file() for file in files), source


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_an_image_and_says_how_to_see_and_to_train_it(page: Path) -> None:
    assert re.search(r"!\[[^]]+\]\([^)]+\.(png|gif|jpg)\)", read(page))
    text = "".join(block.text for block in blocks(page) if block.language in SHELL)
    assert "nextframe predict" in text
    assert "nextframe train" in text


def test_there_are_five_pages() -> None:
    names = ["cat-gifs", "convlstm", "latent-lstm", "lstm-encoder-decoders", "multiscale-gan"]
    assert [page.stem for page in PAGES] == names


def test_what_is_missing_is_found() -> None:
    here = "tests/test_system_pages.py::test_what_is_missing_is_found"
    text = (
        "| point | shown by |\n|---|---|\n"
        f"| a | `{here}`, `nextframe models flow`, `python scripts/roll_outs.py x` |\n"
        "| b | `tests/test_system_pages.py::test_gone` |\n| c | `nextframe predct x` |\n| d | by looking |\n"
        "| e | `python scripts/gone.py` |\n| f | `tests/test_gone.py::test_x` |\n| g | `make lint` |\n"
        "| i | not done |\n"
        "\n| other | table |\n|---|---|\n| h | i |\n"
    )
    rows = table(text, "shown by")
    assert [row[0] for row in rows] == list("abcdefgi")
    assert [line[0] for line in lost(rows)] == list("bcdefg")
