"""The scripts of the tables of Moving MNIST, run with tiny settings on a machine without av."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from nextframe.benchmark import TASKS
from nextframe.benchmark.collected import digits_table, read_rows, write_rows
from nextframe.core.errors import BadInputError

ROOT = Path(__file__).parent.parent
TINY = """
import runpy, sys
sys.modules["av"] = None
from nextframe.benchmark import TASKS
small = TASKS.get("moving-mnist-small")
options = {**small.data.options, "digits": "embedded", "val_clips": 2, "test_clips": 4}
training = small.training.model_copy(update={"clock": "wall"})
for name in ("moving-mnist", "moving-mnist-small"):
    data = small.data.model_copy(update={"options": options})
    TASKS._entries[name] = small.model_copy(update={"name": name, "data": data, "training": training})
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def call(folder: Path, script: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script in `folder` on tiny tasks; av cannot be imported there."""
    command = [sys.executable, "-c", TINY, str(ROOT / "bench" / script), *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=900)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the first row of a table was made."""
    folder = tmp_path_factory.mktemp("rows")
    (folder / "page.md").write_text("# A page\n<!-- rows of moving-mnist-small -->\nold\n", encoding="utf-8")
    made = call(folder, "moving_mnist_rows.py", *SHARE, "--models", "copy-last")
    assert made.returncode == 0, made.stderr
    return folder


SHARE = ("moving-mnist-small", "--steps", "2", "-o", "rows.json")


@pytest.mark.slow
def test_a_share_makes_what_is_left(rows: Path) -> None:
    first = read_rows(rows / "rows.json")
    assert [row.entry for row in first] == ["copy-last"]
    end = "<!-- end of the rows of moving-mnist-small -->\nafter\n"
    page = rows / "page.md"
    page.write_text(page.read_text(encoding="utf-8") + end, encoding="utf-8")
    more = call(rows, "moving_mnist_rows.py", *SHARE, "--models", "copy-last,small-compact", "--page", "page.md")
    assert more.returncode == 0, more.stderr
    found = read_rows(rows / "rows.json")
    assert found[0] == first[0], "a row that is there is kept"
    assert [row.entry for row in found] == ["copy-last", "small-compact"]
    for row in found:
        assert {"command", "commit", "seed", "machine", "date"} <= set(row.run)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# A page\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert digits_table(found) in text


@pytest.mark.slow
def test_a_share_begins_nothing_that_would_not_end_in_time(rows: Path) -> None:
    late = call(rows, "moving_mnist_rows.py", *SHARE, "--models", "copy-last,linear", "--within", "0.5")
    assert late.returncode == 0, late.stderr
    assert "left: linear" in late.stderr
    other = call(rows, "moving_mnist_rows.py", "moving-mnist", *SHARE[1:], "--models", "copy-last")
    assert other.returncode == 2
    assert "was made with another task" in other.stderr


@pytest.mark.slow
def test_a_race_says_who_was_faster(tmp_path: Path) -> None:
    names = ("--rival", "small-simvp", "--fast", "small-compact", "--fast-set", "training.batch=4")
    race = call(tmp_path, "moving_mnist_race.py", *names, "--minutes", "0.04", "-o", "race.json")
    assert race.returncode == 0, race.stderr
    found = json.loads((tmp_path / "race.json").read_text(encoding="utf-8"))
    rival, fast = found["rows"]
    assert (rival["training"]["budget"], fast["training"]["budget"]) == ({"minutes": 0.04}, {"minutes": 0.02})
    assert fast["training"]["batch"] == 4
    errors = [row["figures"][0]["mean"] for row in (rival, fast)]
    assert found["finding"]["the fast recipe reaches it"] == (errors[1] <= errors[0])
    assert found["finding"]["test"] == "generated"
    assert set(found["run"]) >= {"command", "commit", "seed", "machine", "date"}


def test_a_file_of_something_else_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    assert read_rows(path) == []
    write_rows(path, [])
    assert read_rows(path) == []
    for text in ("{", "[]", '{"rows": 3}', '{"lines": []}'):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(BadInputError, match="is not a file of rows"):
            read_rows(path)


def test_the_table_of_small_models_is_that_of_its_rows() -> None:
    found = read_rows(ROOT / "results" / "moving-mnist-small.json")
    assert found
    assert digits_table(found) in (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    assert {row.task.hash for row in found} == {TASKS.get("moving-mnist-small").hash}
    assert all("+changes" not in row.run["commit"] for row in found)
