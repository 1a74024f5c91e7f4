"""The shape of the code itself: short files and functions, no prints, no files called utils."""

import ast
import re
from pathlib import Path
from statistics import median

import pytest

from nextframe.models import MODELS

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "src").rglob("*.py"))


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_files_are_short_and_plain(path):
    text = path.read_text(encoding="utf-8")
    assert path.stem != "utils"
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"line {node.lineno}: bare except"
            assert not (len(node.body) == 1 and isinstance(node.body[0], ast.Pass)), f"line {node.lineno}: pass"
        if isinstance(node, ast.ImportFrom):
            assert all(alias.name != "*" for alias in node.names), f"line {node.lineno}: star import"


ROOMS = sorted({path.parent for path in FILES})
ONE_FILE_EACH = {"cli", "data/sets", "layers", "losses", "metrics", "models", "models/originals", "recipes"}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT / "src")))
def test_rooms_are_small(room):
    """At most 12 files; but a room may hold one file for each registered thing, layer or verb."""
    files = [path for path in room.glob("*.py") if path.stem != "__init__"]
    name = str(room.relative_to(ROOT / "src" / "nextframe"))
    assert name in ONE_FILE_EACH or len(files) <= 12


REGISTERED = {"cli", "data/sets", "models", "models/originals", "recipes"}  # their files are listed by the program


def tree_of_the_page() -> dict[str, set[str]]:
    """The rooms of the tree in docs/architecture.md, each with the words that stand beside it."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    lines = page.split("## The tree")[1].split("```")[1].strip().splitlines()[1:]
    rooms: dict[str, set[str]] = {}
    path: list[tuple[int, str]] = []
    for line in lines:
        indent = len(line) - len(line.lstrip())
        path = [(deep, room) for deep, room in path if deep < indent]
        named = re.match(r" *(\w+)/ ", line)
        if named:
            path.append((indent, named[1]))
        rooms.setdefault("/".join(room for _, room in path), set()).update(re.findall(r"\w+", line))
    return rooms


def test_the_page_has_every_room_and_its_files():
    tree = tree_of_the_page()
    there = {str(room.relative_to(ROOT / "src" / "nextframe")) for room in ROOMS} - {"."}
    assert set(tree) == there
    for room in there - REGISTERED:
        files = {path.stem for path in (ROOT / "src" / "nextframe" / room).glob("*.py")} - {"__init__", "__main__"}
        assert files <= tree[room], (room, sorted(files - tree[room]))


def test_functions_are_short():
    """No worse than when this was written; the longest are signatures of the command line, with their help."""
    lengths = sorted(node.end_lineno - node.lineno + 1 for path in FILES for node in functions(path))
    figures = {"median": median(lengths), "p90": lengths[len(lengths) * 9 // 10], "max": lengths[-1]}
    assert figures["median"] <= 6, figures
    assert figures["p90"] <= 18, figures
    assert figures["max"] <= 74, figures


def test_shared_rooms_know_no_model_by_name():
    """What goes around models asks what a model can do (`models/protocols.py`, capabilities), never which it is."""
    modules = {MODELS.get(name).__module__ for name in MODELS}
    for room in ("evaluation", "prediction", "transfer", "benchmark", "web", "publish"):
        for path in sorted((ROOT / "src" / "nextframe" / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom):
                    assert node.module not in modules, f"{path}, line {node.lineno}"
                if isinstance(node, ast.Constant):
                    assert node.value not in MODELS.names(), f"{path}, line {node.lineno}: {node.value}"


def test_the_repository_names_no_place_of_one_machine():
    import subprocess

    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    words = ["/" + "work" + "/", "/" + "tmp" + "/bash_jobs"]
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in (".gif", ".png", ".mp4", ".safetensors", ".npy") or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        assert not any(word in text for word in words), name
