"""The notebooks of docs/notebooks: clean as they are stored, and each runs from its first cell to its last."""

from __future__ import annotations

import ast
import importlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nextframe as nf

DOCS = Path(__file__).parents[1] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
PLACES = re.compile(r"/(work|tmp|home|Users|root)/|[A-Z]:\\\\")
SECONDS = 300  # for one cell, on a busy machine


def cells(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the cells of a kind, each with its `text`."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == kind:
            yield cell | {"text": "".join(cell["source"])}


def test_there_are_four():
    names = [path.stem for path in NOTEBOOKS]
    assert names == ["compare-models", "predict-a-clip", "train-on-your-videos", "your-own-model"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_places(path):
    text = path.read_text(encoding="utf-8")
    assert not PLACES.search(text)
    assert len(text) < 10_000
    for cell in cells(path, "code"):
        assert (cell["outputs"], cell["execution_count"], cell["metadata"]) == ([], None, {})
    first, *others = [cell["text"] for cell in cells(path, "markdown")]
    assert first.startswith("# ")
    assert max(map(len, [first, *others])) < 320  # a few lines between cells, no essay
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / target).exists(), target


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_code_of_a_notebook_parses_and_names_what_there_is(path):
    for cell in cells(path, "code"):
        for node in ast.walk(ast.parse(cell["text"])):
            if isinstance(node, ast.Import):
                assert all(importlib.import_module(alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = importlib.import_module(str(node.module))
                assert all(hasattr(module, alias.name) for alias in node.names)
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "nf":
                assert node.attr in nf.__all__


def shown(notebook: Any, kind: str) -> str:
    """Return all that the cells of an executed notebook show of a MIME type."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output["data"].get(kind, "") for output in outputs if "data" in output)


# What each shows at least: animations, charts.
SHOWS = {"compare-models": (2, 1), "predict-a-clip": (3, 0), "train-on-your-videos": (4, 1), "your-own-model": (3, 1)}


@pytest.mark.slow
@pytest.mark.any_processor
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path / "notebooks"
    folder.mkdir()
    (tmp_path / "media").mkdir()
    shutil.copy(DOCS / "media" / "stream-of-water.mp4", tmp_path / "media")
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=SECONDS, kernel_name="python3", resources=where).execute()
    page = shown(notebook, "text/html")
    animations, charts = SHOWS[path.stem]
    assert page.count("data:image/gif;base64,") == animations
    assert page.count('class="nextframe-chart"') == charts
    assert len(nbformat.writes(notebook)) < 20_000_000
    said = [output["text"] for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output]
    assert "Warning" not in "".join(said)
