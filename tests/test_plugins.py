"""Models in a user's own file: the worked example of CONTRIBUTING.md, outside of the package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nextframe.checkpoint import create_model, load_model, save_model
from nextframe.cli import app
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.plugins import load_plugin
from nextframe.models import MODELS

EXAMPLE = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.DOTALL
)[0]
BY_DECORATOR = EXAMPLE.replace("class Blend(Predictor)", '@register("my-blend")\nclass Blend(Predictor)').replace(
    "from nextframe.models.rollout", "from nextframe.core.plugins import register\nfrom nextframe.models.rollout"
)
BY_LINE = EXAMPLE + '\n\nfrom nextframe.models import MODELS\n\nMODELS.add("my-blend", Blend)\n'


@pytest.fixture(autouse=True)
def _registry_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))


def written(folder: Path, text: str) -> Path:
    path = folder / "my_model.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("text", [BY_DECORATOR, BY_LINE])
def test_a_file_adds_its_model(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = written(tmp_path, text)
    assert load_plugin(plugin) == ["my-blend"]
    assert load_plugin(plugin) == ["my-blend"], "a second time does nothing"
    save_model(create_model("my-blend", context=2), tmp_path / "model")
    assert load_model(tmp_path / "model").config.context == 2
    monkeypatch.delitem(MODELS._entries, "my-blend")
    with pytest.raises(BadInputError, match=r"config.json: unknown model 'my-blend'.*--plugin FILE.py"):
        load_model(tmp_path / "model")


MISTAKES = {
    "nothing": ("x = 1\n", "registers nothing; put @register"),
    "an error": ("x = 1\ny = x / 0\n", "line 2: ZeroDivisionError"),
    "bad syntax": ("x = 1\ndef f(:\n", "line 2: invalid syntax"),
    "taken": (BY_DECORATOR.replace("my-blend", "flow"), "model 'flow' of .*the name is taken"),
    "taken by line": (BY_LINE.replace("my-blend", "flow"), "line .*'flow' is registered twice"),
    "no model": (
        "from nextframe.models import MODELS\nMODELS.add('it', int)\n",
        "model 'it' is not a class that extends",
    ),
    "half": (BY_DECORATOR + "\nraise RuntimeError('late')\n", "RuntimeError: late"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_file_is_one_line_and_registers_nothing(mistake: str, tmp_path: Path) -> None:
    text, says = MISTAKES[mistake]
    before = MODELS.names()
    with pytest.raises(UserError, match=says) as caught:
        load_plugin(written(tmp_path, text))
    assert "my_model.py" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert MODELS.names() == before


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"gone.py: no such plugin file"):
        load_plugin(tmp_path / "gone.py")


def installed(folder: Path, name: str) -> None:
    """A package as pip would leave it: a module and its entry point."""
    (folder / "their_package.py").write_text(EXAMPLE, encoding="utf-8")
    facts = folder / "their_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n", encoding="utf-8")
    text = f"[nextframe.models]\n{name} = their_package:Blend\n"
    (facts / "entry_points.txt").write_text(text, encoding="utf-8")


def test_a_package_adds_its_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "theirs")
    monkeypatch.syspath_prepend(tmp_path)
    MODELS.add_entry_points()
    assert "their_package" not in sys.modules, "imported only when asked for"
    assert create_model("theirs", context=3).config.context == 3


def test_a_package_cannot_take_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(tmp_path, "flow")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="model 'flow' of package their-package: the name is taken"):
        MODELS.add_entry_points()


def test_the_verbs_take_a_plugin(tmp_path: Path) -> None:
    """The second one in a process of its own, which has to load the file itself."""
    own, run = ("--plugin", str(written(tmp_path, BY_DECORATOR))), str(tmp_path / "run")
    small = ("--data", "moving-digits", "--size", "32x32", "--context", "3", "--horizon", "2")
    few = ("--steps", "3", "--batch", "2", "--set", "run.report=false", "--set", "data.options.count=1")
    done = CliRunner().invoke(app, ["train", "my-blend", *own, *small, *few, "-o", run])
    assert done.exit_code == 0, done.exception
    words = [sys.executable, "-m", "nextframe", "evaluate", run, *own, "--clips", "2", "--json", "rows.json"]
    fresh = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=os.environ, check=False)
    assert fresh.returncode == 0, fresh.stderr
    rows = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert "my-blend" in {row["model"] for row in rows}


MIDDLE = """
from nextframe.models.contract import Predictor
from nextframe.models.mean_neighbours import between_two
from nextframe.core.plugins import register


@register("my-brightest")
class Brightest(Predictor):
    idea = "The brighter of two pixels."

    @property
    def capabilities(self):
        return between_two()

    def forecast(self, request):
        return request.context.amax(1, keepdim=True)
"""


def test_interpolate_takes_a_model_of_a_plugin(tmp_path: Path) -> None:
    np.save(tmp_path / "film.npy", np.array([10, 200], np.uint8)[:, None, None] * np.ones((2, 8, 8), np.uint8))
    plugin, out = written(tmp_path, MIDDLE), tmp_path / "out.npy"
    words = ["interpolate", str(tmp_path / "film.npy"), "-o", str(out), "-m", "my-brightest", "--plugin", str(plugin)]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.exception
    assert np.load(out)[:, 0, 0].tolist() == [10, 200, 200]
