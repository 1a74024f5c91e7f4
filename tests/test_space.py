"""The folder of a Hugging Face Space: it runs by itself, from the source and with the models that are in it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from urllib.request import urlopen

import pytest
import yaml

from chromium import answers, wait_for
from nextframe.checkpoint import create_model, save_model, shipped_models
from nextframe.cli import main
from nextframe.core.errors import BadInputError, UserError
from nextframe.models.contract import TrainedTask
from nextframe.publish.space import needed, write_space

# looked for only: importing it takes each process that collects tests seconds
pytestmark = pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra [web]")
ROOT = Path(__file__).parent.parent
ADDRESS = re.compile(r"http://[\w.]+:(\d+)")


def trained(folder: Path) -> Path:
    """A model folder of a tiny network."""
    model = create_model("convlstm", hidden=[2], kernels=[3])
    return save_model(model, folder, task=TrainedTask(context=3, horizon=2, size=(16, 16), channels=1))


def models_of(space: Path) -> tuple[str, ...]:
    found = re.search(
        r"^MODELS: tuple\[str, \.\.\.\] = (\(.*?\))", (space / "app.py").read_text(), re.MULTILINE | re.DOTALL
    )
    return eval(found[1])  # a tuple of strings


def test_a_space_has_source_models_and_what_it_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "runs" / "mine")
    with pytest.raises(SystemExit) as done:
        main(["space", *shipped_models(), "copy-last", "runs/mine", "user/name@v1", "-o", "space"])
    assert done.value.code == 0
    names = (*shipped_models(), "copy-last", "mine", "user/name@v1")
    assert f"({', '.join(names)}; try it" in capsys.readouterr().out
    space = tmp_path / "space"
    assert models_of(space) == names
    assert {path.name for path in (space / "models/mine").iterdir()} == {"config.json", "model.safetensors"}
    assert (space / "nextframe/web/serve.py").read_bytes() == (ROOT / "src/nextframe/web/serve.py").read_bytes()
    assert not list(space.rglob("__pycache__"))
    assert "nextframe" not in (space / "requirements.txt").read_text()
    front = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    assert (front["sdk"], front["app_file"]) == ("gradio", "app.py")
    assert (space / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_by_default_a_space_offers_the_trained_models(tmp_path, monkeypatch):
    trained(tmp_path / "weights" / "extra")
    monkeypatch.setenv("NEXTFRAME_WEIGHTS", str(tmp_path / "weights"))
    assert write_space(tmp_path / "space") == ("motion", "digits", "extra")  # the page opens on the first
    assert (tmp_path / "space/models/extra/model.safetensors").is_file()


def test_requirements_are_those_of_the_package_and_its_page():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"], *project["optional-dependencies"]["web"]]
    metadata = [*project["dependencies"], *(
        f"{line}; extra == '{extra}'" for extra, lines in project["optional-dependencies"].items() for line in lines
    )]  # fmt: skip
    assert needed(metadata) == listed
    assert needed(['a>=1; python_version < "3.12"', "b; extra == 'dev'"]) == ['a>=1; python_version < "3.12"']


@pytest.mark.parametrize(
    ("models", "line"),
    [
        (["compact"], "'compact' has to be trained first"),
        (["nowhere"], "unknown model or run folder 'nowhere'"),
        (["copy-last", "copy-last"], "two models would be 'copy-last' in the Space"),
        (["mean-neighbours"], "mean-neighbours"),
        (["here/flow"], "here/flow: a model called 'flow' comes with the package: rename the folder"),
    ],
)
def test_models_that_cannot_be_offered_are_one_line_and_leave_nothing(models, line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trained(tmp_path / "here" / "flow")
    with pytest.raises(UserError, match=re.escape(line)):
        write_space(tmp_path / "space", models)
    assert not (tmp_path / "space").exists()


def test_a_folder_that_holds_something_is_kept(tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(BadInputError, match="is not empty; give a new folder"):
        write_space(tmp_path)


def test_the_written_app_starts_and_answers_from_the_folder_alone(tmp_path):
    trained(tmp_path / "mine")
    space = tmp_path / "space"
    write_space(space, ["copy-last", str(tmp_path / "mine")])
    (tmp_path / "tmp").mkdir()
    own = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment = own | {"PORT": "0", "TMPDIR": str(tmp_path / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
    source = f"import sys; sys.path.insert(0, {str(space)!r}); import nextframe; print(nextframe.__file__)"
    found = subprocess.run([sys.executable, "-c", source], env=environment, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()) == space / "nextframe/__init__.py"
    log = tmp_path / "app.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(space / "app.py")], env=environment, stdout=file, stderr=file, cwd=tmp_path
        )
    try:
        wait_for(lambda: process.poll() is not None or ADDRESS.search(log.read_text()), 300, log.read_text)
        page = f"http://127.0.0.1:{ADDRESS.search(log.read_text())[1]}/config"
        wait_for(lambda: answers(page), 300, log.read_text)  # the line comes just before the server listens
        with urlopen(page, timeout=60) as answer:
            shown = json.dumps(json.load(answer))
        assert '"copy-last"' in shown
        assert '"mine"' in shown
    finally:
        process.terminate()
        process.wait(60)
    assert not list((tmp_path / "tmp").glob("nextframe-app-*"))
