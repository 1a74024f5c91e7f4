"""What README.md, CONTRIBUTING.md and docs/ show works: commands and Python blocks run, links lead somewhere.

Every fenced block of every page is taken as it stands and run in the order of the page, in an empty folder in which
`page_inputs` makes what the words of a command name (my_videos/, cat.gif, runs/mine, ...). What would take long is cut
by `page_cuts`, what cannot run in a test stands in CHECKED or PARSED or is marked in the page, and a command that is
in none of them fails.
"""

from __future__ import annotations

import functools
import logging
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
import yaml

from hub_stand_in import StandIn, stand_in_for
from nextframe.cli import app, main
from nextframe.core.plugins import REGISTRIES, registry_of
from nextframe.data import DATASETS, DataConfig, open_data
from page_cuts import CUTS, FEW, FEW_CLIPS, FEW_SOURCES, LITTLE_SPEED, SHORT_PYTHON, shortened
from page_inputs import Inputs, for_command, for_python
from pages import LANGUAGES, PAGES, ROOT, SHELL, Block, blocks, commands, name_of, prose

pytestmark = [pytest.mark.usefixtures("quick_speed"), pytest.mark.any_processor]

TESTS = Path(__file__).parent
SLOW = {
    "cat-gifs",
    "catz",
    "composite-lstm",
    "convlstm",
    "hub",
    "index",
    "latent",
    "latent-lstm",
    "lstm-encoder-decoders",
    "multiscale-gan",
    "performance",
    "transfer",
}  # many trainings: tens of seconds a page
SLOW_FOLDERS = {"how-to", "reference", "start"}
QUICK = {"first-prediction"}  # of these folders
EXTRAS = {  # libraries that only requirements-extras.lock has
    "cli": ("optuna",),
    "other-datasets": ("pyarrow", "datasets"),
    "sweep": ("optuna",),
}
MOST_MARKS = 5  # blocks of all pages that may be marked as not run


def is_slow(page: Path) -> bool:
    """Whether only `make test-all` runs what the page shows; `make test` reads its commands all the same."""
    return page.stem in SLOW or (page.parent.name in SLOW_FOLDERS and page.stem not in QUICK)


def test_only_budgets_are_cut() -> None:
    line = "train compact --data my_videos/ --size 64x64 --minutes 30 -o runs/mine"
    assert shortened(line.split()) == f"{line.replace(' --minutes 30', '')} {CUTS['train']}".split()
    assert shortened(["predict", "cat.gif", "-n", "10"]) == ["predict", "cat.gif", "-n", "10"]
    assert shortened(["predict", "cat.gif", "-n", "3000"]) == ["predict", "cat.gif", "-n", "12"]
    assert shortened(["predict", "cat.gif", "--adapt", "20"]) == ["predict", "cat.gif", "--adapt", "1"]
    assert shortened(["train", "convlstm", "--digits", "mnist", "--steps", "9"])[2:4] == ["--digits", "embedded"]
    assert shortened(["benchmark", "gif-next", "--data", "gifs"])[-4:] == [*FEW["benchmark"], "--steps", "2"]
    assert shortened(["benchmark", "speed", "--models", "simvp"])[2:] == ["--models", "simvp", *LITTLE_SPEED]
    assert shortened(["benchmark", "speed"])[2:] == ["--models", "flow", *LITTLE_SPEED]
    assert shortened(["benchmark"]) == ["benchmark"]
    assert shortened(["quickstart", "--minutes", "3"]) == ["quickstart", *CUTS["quickstart"].split()]
    sweeps = [shortened(f"sweep compact{trials}".split()) for trials in ("", " --trials 20", " --trials 30")]
    assert [words[2:4] for words in sweeps] == [["--trials", few] for few in "334"]
    assert shortened(["benchmark", "real-next", "--data", "v"])[4:] == FEW_SOURCES


# --- what is not run but checked: each command of its own kind


def check_make(words: list[str]) -> None:
    """The Makefile has the target; nothing is made."""
    done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def check_pip(words: list[str]) -> None:
    """Installing needs a network: the package and its extras have these names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert words[0] == "install"
    for word in words[1:]:
        name, extras = re.fullmatch(r"([\w-]+)(?:\[([\w,-]+)\])?", word).groups("")
        assert name == project["name"]
        assert set(filter(None, extras.split(","))) <= set(project["optional-dependencies"]), word


def check_uv(words: list[str]) -> None:
    """As pip, with the build of torch that is wanted."""
    pip, install, backend, *rest = words
    assert pip == "pip"
    assert re.fullmatch(r"--torch-backend=(cpu|auto)", backend)
    check_pip([install, *rest])


def check_conda(words: list[str]) -> None:
    """conda is not run: the file that the command reads is there."""
    assert words[:3] == ["env", "create", "-f"]
    assert (ROOT / words[3]).is_file()


def check_docker(words: list[str]) -> None:
    """Docker is not run: it builds the repository, and what it starts is a command of ours."""
    if words[0] == "run":
        parse(words[words.index("nextframe") + 1 :])
    else:
        assert (words[0], words[-1]) == ("build", ".")
        assert (ROOT / "Dockerfile").is_file()


def check_launcher(words: list[str]) -> None:
    """It starts processes, which tests of their own do: what is started is a command of ours."""
    parse(words[words.index("nextframe") + 1 :])


def check_script(words: list[str]) -> None:
    """Scripts of the studies take minutes and write into the repository: their options are read."""
    assert (ROOT / words[0]).is_file(), words[0]
    done = subprocess.run(
        [sys.executable, ROOT / words[0], "--help"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in words[1:] if word.startswith("--"))


CHECKED: dict[str, Callable[[list[str]], None]] = {
    "make": check_make,
    "pip": check_pip,
    "uv": check_uv,
    "conda": check_conda,
    "docker": check_docker,
    "torchrun": check_launcher,
    "srun": check_launcher,
    "python": check_script,
}
PARSED = {  # words of commands that are read and not run, and why
    "app": "it serves until it is stopped; tests/test_web.py runs it",
    "extract-features --backbone vgg16": "it wants torchvision, and weights of it that are a download",
}
ELSEWHERE = {  # Python blocks that another test runs, which names the page
    "CONTRIBUTING.md": ("test_contributing.py", "test_registries.py"),
    "docs/start/in-python.md": ("test_face.py",),
    "docs/python.md": ("test_face.py",),
    "docs/how-to/sweep.md": ("test_sweep.py",),
}


@functools.cache
def command_line() -> Any:
    return typer.main.get_command(app)


def parse(words: list[str]) -> tuple[str, dict[str, object]]:
    """Return verb and parameters of a command, as the command line reads them; a usage error is raised."""
    group = command_line()
    context = group.make_context("nextframe", [], resilient_parsing=True)
    name, verb, rest = group.resolve_command(context, list(words))
    return name, verb.make_context(name, list(rest)).params


def run_elsewhere(block: Block) -> bool:
    files = [TESTS / name for name in ELSEWHERE.get(block.page, ())]
    return bool(files) and all(
        file.exists() and block.page.split("/")[-1] in file.read_text(encoding="utf-8") for file in files
    )


# --- the pages


@pytest.fixture(scope="session")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return Inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, inputs: Inputs) -> Iterator[StandIn]:
    """The Hub's stand-in, which has the model user/name with a revision v1."""
    with stand_in_for(monkeypatch, tmp_path / "hub-cache") as started:
        files = {path.name: path.read_bytes() for path in (inputs.trained / "model").iterdir()}
        started.repos["user/name"] = {"branches": {}, "commits": {}, "private": False}
        started.repos["user/name"]["branches"]["v1"] = started.add("user/name", files)
        yield started


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty folder to work in; registries and logging are as before afterwards."""
    for kind in REGISTRIES:
        monkeypatch.setattr(registry_of(kind), "_entries", dict(registry_of(kind)._entries))
    for name, (opened, few) in FEW_CLIPS.items():

        def small(config: DataConfig, opened: Callable = opened, few: dict = few) -> object:
            return opened(config.model_copy(update={"options": {**few, **config.options}}))

        monkeypatch.setitem(DATASETS._entries, name, small)
    folder = tmp_path / "page"
    folder.mkdir()
    monkeypatch.chdir(folder)
    level = logging.getLogger().level
    yield folder
    logging.getLogger().setLevel(level)


def run_nextframe(inputs: Inputs, words: list[str], run: bool) -> None:
    verb, values = parse(words)
    if not run or any(only_read(words, key) for key in PARSED):
        return
    for_command(inputs, verb, values)
    with pytest.raises(SystemExit) as ended:
        main(shortened(words))
    assert not ended.value.code, "the command failed: its line is on stderr below"


def only_read(words: list[str], key: str) -> bool:
    """Whether a command begins with the verb of a key of PARSED, and has its other words."""
    return words[0] == key.split()[0] and set(key.split()) <= set(words)


def run_shell(inputs: Inputs, block: Block, folder: Path) -> None:
    for program, *words in commands(block, folder):
        where = f"{block}: {program} {' '.join(words)}"
        try:
            if program == "nextframe":
                run_nextframe(inputs, words, block.mark is None)
            else:
                assert program in CHECKED, "neither run nor checked: add it to CHECKED, or mark the block"
                CHECKED[program](words)
        except Exception as error:
            raise AssertionError(f"{where}: {error}") from error


def run_python(inputs: Inputs, block: Block, names: dict[str, object]) -> None:
    code = block.text
    for long, short in SHORT_PYTHON.items():
        code = re.sub(long, short, code)
    for_python(inputs, code)
    exec(compile("\n" * block.line + code, block.page, "exec"), names)


def run_yaml(inputs: Inputs, block: Block) -> None:
    """A recipe's data section is opened, and a clip of it is read."""
    values = yaml.safe_load(block.text)
    assert list(values) == ["data"], "say here what a block of another section is"
    for entry in values["data"].get("mix", [values["data"]]):
        if entry["name"] not in DATASETS:
            inputs.provide("clips", entry["name"])
    clips = open_data(DataConfig.parse(values["data"], str(block)))
    assert clips.read("train", torch.arange(2).numpy()).context.shape[1] == values["data"]["context"]


@pytest.mark.parametrize(
    "page",
    [pytest.param(p, id=name_of(p), marks=[pytest.mark.slow] * is_slow(p)) for p in PAGES if blocks(p)],
)
def test_what_a_page_shows_works(
    page: Path, here: Path, hub: StandIn, inputs: Inputs, caplog: pytest.LogCaptureFixture
) -> None:
    for library in EXTRAS.get(page.stem, ()):
        pytest.importorskip(library, reason="the page needs the libraries of requirements-extras.lock")
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{block}: how is a block of {block.language} run?"
        if block.language in SHELL:
            run_shell(inputs, block, here)
        elif block.mark is None and block.language == "python" and not run_elsewhere(block):
            run_python(inputs, block, names)
        elif block.mark is None and block.language == "yaml":
            run_yaml(inputs, block)
    old = [record.getMessage() for record in caplog.records if record.name == "nextframe.cli.old"]
    assert old == [], "a spelling of the last release stands in the page"


def shown(pages: Iterable[Path], folder: Path) -> list[list[str]]:
    """The words of every `nextframe` command of the pages."""
    shell = [block for page in pages for block in blocks(page) if block.language in SHELL]
    return [words for block in shell for program, *words in commands(block, folder) if program == "nextframe"]


def test_the_commands_of_slow_pages_are_read(tmp_path: Path) -> None:
    """Verbs, options and their types, of pages that are run by `make test-all` only."""
    read = shown(filter(is_slow, PAGES), tmp_path)
    assert len(read) > 50
    for words in read:
        parse(words)


def test_what_is_not_run_stands_in_a_page(tmp_path: Path) -> None:
    read = shown(PAGES, tmp_path)
    assert [key for key in PARSED if not any(only_read(words, key) for words in read)] == []


def test_few_blocks_are_marked_as_not_run() -> None:
    """A mark is `<!-- not run: the reason -->` right above a block; its commands are read all the same."""
    marked = [str(block) for page in PAGES for block in blocks(page) if block.mark]
    assert len(marked) <= MOST_MARKS, marked
    strays = [name_of(page) for page in PAGES if "<!-- not run" in prose(page)]
    assert strays == [], "a mark stands above no block"


def test_every_command_stands_in_a_shell_block() -> None:
    """Not in a block without a language, nor in an indented one: there no test would run it."""
    line = r"^ *\$? *(?:\.venv/bin/)?(?:nextframe|python|pip|make) .*"
    strays = []
    for page in PAGES:
        bare = "".join(block.text for block in blocks(page) if block.language == "")
        indented = "\n".join(re.findall(r"^ {4,}.*", prose(page), re.MULTILINE))
        strays += [f"{name_of(page)}: {found}" for found in re.findall(line, f"{bare}\n{indented}", re.MULTILINE)]
    assert strays == []


def test_commands_are_read_as_bash_reads_them(tmp_path: Path) -> None:
    text = "A='x y'  # c\n.venv/bin/nextframe a $A \\\n  \"b c\"  # d\npip e && make f\ncd g\n"
    read = commands(Block("page", 1, "bash", text, None), tmp_path)
    assert read == [["nextframe", "a", "x", "y", "b c"], ["pip", "e"], ["make", "f"], ["cd", "g"]]
    with pytest.raises(AssertionError, match="bash says"):
        commands(Block("page", 1, "bash", "nextframe 'open\n", None), tmp_path)


def test_a_command_that_is_neither_run_nor_checked_fails(here: Path, inputs: Inputs) -> None:
    for line, says in {"curl x": "neither run nor checked", "nextframe predct x": "predct", "make nothing": "nothing",
                       "pip install other": "other", "nextframe evaluate flow --splt x": "splt",
                       "nextframe predict x.gif --model flwo": "the command failed"}.items():  # fmt: skip
        with pytest.raises(AssertionError, match=says) as caught:
            run_shell(inputs, Block("page", 1, "bash", line, None), here)
        assert f"page:1: {line}" in str(caught.value)
