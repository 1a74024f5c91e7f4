"""What a release has, and what stands around the code: metadata, workflows, templates. Nothing is fetched or installed
but in the slow test, which does what `make package` does.
"""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import nextframe

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WEIGHTS = "src/nextframe/checkpoint/shipped/one/model.safetensors"
MEDIA = {".gif", ".png", ".jpg", ".mp4", ".safetensors", ".pt", ".xz", ".npy"}


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_package", ROOT / "scripts" / "check_package.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CHECK = script()


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def yaml_of(name: str) -> Any:
    return yaml.safe_load(text_of(name))


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


# --- what is in an sdist and a wheel


def included(kind: str, root: Path) -> set[str]:
    """The files that the rules of pyproject.toml choose; PKG-INFO and the .dist-info come to them."""
    module = pytest.importorskip(f"hatchling.builders.{kind}")
    builder = {"sdist": "SdistBuilder", "wheel": "WheelBuilder"}[kind]
    files = getattr(module, builder)(str(root)).recurse_included_files()
    return {Path(file.distribution_path).as_posix() for file in files}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the rules of this one, and a file of each kind."""
    for name in ("pyproject.toml", ".gitignore"):
        (tmp_path / name).write_text(text_of(name), encoding="utf-8")
    for name in (
        *("src/nextframe/__init__.py", "src/nextframe/recipes/weights/plans.py", WEIGHTS),
        *("src/nextframe/web/clips/a.mp4", "src/nextframe/__pycache__/a.cpython-311.pyc"),
        *("weights/digits/model.safetensors", "bench/a.py", "docs/media/a.gif", "docs/a.md", "docs/studies/b.md"),
        *("tests/test_a.py", "results/a.json", "scripts/a.py", "dist/a.whl", ".gpu/a.py", "runs/a/config.json"),
        *CHECK.TOP - {"pyproject.toml", ".gitignore", "PKG-INFO"},
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


PACKAGE = {
    "src/nextframe/__init__.py",
    "src/nextframe/recipes/weights/plans.py",
    "src/nextframe/web/clips/a.mp4",
    WEIGHTS,
}


def test_an_sdist_has_the_package_with_its_weights_and_pages_and_nothing_else(project: Path) -> None:
    found = included("sdist", project)
    assert found >= PACKAGE
    assert {"docs/a.md", "docs/studies/b.md"} <= found
    assert found - PACKAGE - {"docs/a.md", "docs/studies/b.md"} <= CHECK.TOP
    assert CHECK.faults_of_sdist(found | CHECK.TOP, PACKAGE) == []


def test_a_wheel_has_the_package_with_its_weights_and_nothing_else(project: Path) -> None:
    assert included("wheel", project) == {name.removeprefix("src/") for name in PACKAGE}


def test_git_and_the_rules_agree_on_what_the_package_is() -> None:
    """A line of .gitignore, such as weights/, would keep files of the package out of a wheel."""
    ours = {name for name in tracked() if name.startswith("src/nextframe/")}
    command = ["git", "check-ignore", "--no-index", "--stdin"]
    names = "\n".join(ours)
    ignored = subprocess.run(command, cwd=ROOT, input=names, capture_output=True, text=True, check=False)
    assert ignored.stdout == ""
    assert {f"src/{name}" for name in included("wheel", ROOT)} >= ours


def test_what_is_missing_or_should_not_be_there_is_told() -> None:
    sdist = PACKAGE | CHECK.TOP | {"docs/a.md"}
    assert CHECK.faults_of_sdist(sdist, PACKAGE) == []
    assert CHECK.faults_of_sdist(sdist - {WEIGHTS}, PACKAGE) == [f"the sdist has no {WEIGHTS}"]
    assert CHECK.faults_of_sdist(sdist | {"weights/a"}, PACKAGE) == ["the sdist has weights/a"]
    assert CHECK.faults_of_sdist(sdist | {"docs/media/a.gif"}, PACKAGE) == ["the sdist has docs/media/a.gif"]
    assert CHECK.faults_of_sdist(sdist | {"src/nextframe/mine.py"}, PACKAGE) == ["the sdist has src/nextframe/mine.py"]
    wheel = {name.removeprefix("src/") for name in PACKAGE} | {f"nextframe-0.1.0.dist-info/{n}" for n in CHECK.INFO}
    assert CHECK.faults_of_wheel(wheel, PACKAGE) == []
    assert CHECK.faults_of_wheel(wheel | {"tests/a.py"}, PACKAGE) == ["the wheel has tests/a.py"]
    init = "nextframe/__init__.py"
    assert CHECK.faults_of_wheel(wheel - {init}, PACKAGE) == [f"the wheel has no {init}"]


def test_a_model_without_weights_two_wheels_and_a_large_file_are_told(tmp_path: Path) -> None:
    config = WEIGHTS.replace("model.safetensors", "config.json")
    assert CHECK.faults_of_weights(PACKAGE | {config}) == []
    assert CHECK.faults_of_weights((PACKAGE | {config}) - {WEIGHTS}) == [f"{WEIGHTS} is missing"]
    assert CHECK.faults_of_weights(set()) == ["no model ships"]
    assert CHECK.differences({"a": b"1", "b": b"2"}, {"a": b"1", "b": b"2"}) == []
    assert CHECK.differences({"a": b"1", "b": b"2"}, {"a": b"1", "b": b"3", "c": b""}) == [
        "b is not the same in both wheels",
        "c is not the same in both wheels",
    ]
    with (tmp_path / "a.whl").open("wb") as file:
        file.truncate(CHECK.LARGEST)
    assert CHECK.too_large(tmp_path / "a.whl") == []
    with (tmp_path / "a.whl").open("ab") as file:
        file.truncate(CHECK.LARGEST + 1)
    assert CHECK.too_large(tmp_path / "a.whl") == ["a.whl has 24.0 MiB, over the limit of 24"]


@pytest.mark.slow
def test_the_package_is_built_installed_and_run(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "check_package.py", "--borrow", "--out", tmp_path / "dist"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("package: fine\n")
    assert len(list((tmp_path / "dist").iterdir())) == 2


# --- metadata


def test_the_metadata_of_a_release_are_complete_and_name_nobody() -> None:
    project = PROJECT["project"]
    assert project["authors"] == [{"name": "nextframe contributors"}]
    known = pytest.importorskip("trove_classifiers").classifiers
    assert set(project["classifiers"]) <= known
    versions = [line.rpartition(" ")[2] for line in project["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert f">={versions[0]}" == project["requires-python"]
    assert yaml_of(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"] == versions
    assert project["version"] == nextframe.__version__
    assert (ROOT / project["readme"]).is_file()


def test_a_citation_has_what_the_format_wants() -> None:
    citation = yaml_of("CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["cff-version"] == "1.2.0"
    assert citation["authors"] == PROJECT["project"]["authors"]
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]


def test_no_file_names_an_index() -> None:
    """Where packages come from is the user's choice: an address would go past the mirror that pip or uv is told."""
    hosts = [("pypi", "org"), ("pythonhosted", "org"), ("download.pytorch", "org"), ("anaconda", "org")]
    hosts += [("anaconda", "com"), ("pypi.nvidia", "com")]
    words = [".".join(host) for host in hosts] + [f"--{word}index-url" for word in ("", "extra-")]
    for name in tracked():
        if (ROOT / name).suffix not in MEDIA and name != "tests/test_package.py":
            text = (ROOT / name).read_text(encoding="utf-8", errors="replace")
            assert [word for word in words if word in text] == [], name


# --- what the hosting of the repository reads


YAML = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(".github/**/*.yml"))


def steps_of(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", [*YAML, ".pre-commit-config.yaml", "environment.yml", "CITATION.cff"])
def test_yaml_files_are_read(name: str) -> None:
    assert isinstance(yaml_of(name), dict)


def test_the_workflow_has_every_job_and_system() -> None:
    workflow = yaml_of(".github/workflows/ci.yml")
    assert workflow["jobs"].keys() == {"lint", "test", "wheel", "docs"}
    matrix = workflow["jobs"]["test"]["strategy"]["matrix"]
    assert [system.partition("-")[0] for system in matrix["os"]] == ["ubuntu", "macos", "windows"]
    assert workflow["permissions"] == {"contents": "read"}


def test_what_the_workflow_calls_is_there() -> None:
    makefile = text_of("Makefile")
    for step in steps_of(yaml_of(".github/workflows/ci.yml")):
        if step.get("uses", "").startswith("./"):
            assert (ROOT / step["uses"] / "action.yml").is_file()
        for target in re.findall(r"^ *make ([\w-]+)", step.get("run", ""), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
        for option in re.findall(r"ARGS=(--\w+)", step.get("run", "")):
            assert f'"{option}"' in text_of("scripts/check_package.py")


def test_make_takes_the_environment_of_a_job(tmp_path: Path) -> None:
    """`make lint BIN=...` with a .ready that is newer than the pins makes no .venv."""
    (tmp_path / ".ready").touch()
    done = subprocess.run(
        ["make", "-n", "lint", "package", f"VENV={tmp_path}", "BIN=/somewhere", "ARGS=--borrow"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "venv" not in done.stdout
    assert "/somewhere/ruff check ." in done.stdout
    assert "/somewhere/python scripts/check_package.py --borrow" in done.stdout


def test_the_hooks_are_the_programs_of_make_lint() -> None:
    (local,) = yaml_of(".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    assert all(hook["language"] == "system" for hook in local["hooks"])
    recipe = text_of("Makefile").split("\nlint:")[1].split("\n\n")[0]
    lines = re.findall(r"^\t\$\(BIN\)/(.*)$", recipe, re.MULTILINE)
    assert [hook["entry"] for hook in local["hooks"]] == [line.removesuffix(" .") for line in lines]


def test_templates_ask_for_what_is_needed() -> None:
    for name in ("bug", "wish"):
        form = yaml_of(f".github/ISSUE_TEMPLATE/{name}.yml")
        assert {"name", "description", "body"} <= form.keys()
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(ids) == len(set(ids)) >= 3
    assert "private" in text_of("SECURITY.md")


# --- other ways to install


def test_conda_and_docker_want_what_the_package_wants() -> None:
    wanted = {re.split(r"[>=!<\[]", line)[0]: line for line in PROJECT["project"]["dependencies"]}
    listed = yaml_of("environment.yml")["dependencies"]
    conda = dict(line.split(" ", 1) for line in listed if isinstance(line, str) and " " in line)
    assert conda["python"].startswith(PROJECT["project"]["requires-python"])
    assert f"torch{conda['pytorch']}" == wanted["torch"]
    assert f"numpy{conda['numpy']}" == wanted["numpy"]
    (pip,) = [line["pip"] for line in listed if isinstance(line, dict)]
    assert pip == [".[web]"]
    assert "web" in PROJECT["project"]["optional-dependencies"]


def test_docker_gets_all_that_a_wheel_is_built_from() -> None:
    let_in = {line[1:] for line in text_of(".dockerignore").splitlines() if line.startswith("!")}
    project = PROJECT["project"]
    needed = {"src", "pyproject.toml", ".gitignore", "requirements.lock", project["readme"], *project["license-files"]}
    assert let_in == needed
    dockerfile = text_of("Dockerfile")
    assert "ARG TORCH=cpu" in dockerfile
    assert "--torch-backend=${TORCH}" in dockerfile
