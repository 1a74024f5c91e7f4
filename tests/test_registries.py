"""Every registry takes plugins and entry points in one way: what stands here is outside of the package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import torch
from typer.testing import CliRunner

import nextframe
from nextframe.checkpoint import create_model, load_model
from nextframe.cli import app
from nextframe.core.errors import BadInputError, UnknownNameError, UserError
from nextframe.core.plugins import REGISTRIES, Kind, load_plugin, loaded_files, register, registry_of
from nextframe.core.registry import Registry, takes
from nextframe.core.seeds.seeding import seed_everything
from nextframe.training import TrainingConfig, read_metrics

METRIC = """
from nextframe.core.plugins import register
from nextframe.metrics import Metric


def worst(prediction, target):
    return (prediction - target).abs().amax((2, 3, 4))


WORST = Metric("worst-pixel", "the largest absolute error of a pixel", "1", "lower", (0, 1), worst)
register("worst-pixel", kind="metric")(WORST)
"""

DATA = """
import numpy as np
import torch

from nextframe.core.plugins import register
from nextframe.data import ClipSet


@register("ramps", kind="data")
class Ramps(ClipSet):
    name = "ramps"
    frame_shape = (1, 8, 8)

    def __init__(self, config):
        self.task = config.task

    def count(self, split):
        return 4

    def read(self, split, indices):
        levels = 20 * np.arange(self.task.length) + indices[:, None]  # frame t of clip i is 20 t + i everywhere
        frames = torch.from_numpy(levels.astype(np.uint8))[..., None, None, None].expand(-1, -1, *self.frame_shape)
        return self.task.split(frames.contiguous())
"""

OPTIMIZER = """
import torch

from nextframe.core.plugins import register


@register("signs", kind="optimizer")
def signs(parameters, lr, weight_decay, defaults):
    return Signs(parameters, {"lr": lr})


class Signs(torch.optim.Optimizer):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for weight in group["params"]:
                weight.sub_(group["lr"] * weight.grad.sign())
"""

SCHEDULE = """
from nextframe.core.plugins import register


@register("halves", kind="schedule")
def halves(progress, warmup):
    return 1.0 if progress < 0.5 else 0.5
"""

RECIPE = """
from nextframe.core.plugins import register
from nextframe.data import DataConfig
from nextframe.training import ModelSection, Recipe, TrainingConfig

MINE = Recipe(
    model=ModelSection(name="conv2d"),
    data=DataConfig(context=2, horizon=1, size=(28, 28), options={"count": 1}),
    training=TrainingConfig(steps=2, batch=2, log_every=1, workers=0),
)
register("mine", kind="recipe")(MINE)
"""

TASK = """
from nextframe.benchmark import BenchmarkTask
from nextframe.core.plugins import register
from nextframe.data import DataConfig
from nextframe.training import TrainingConfig

TINY = register("tiny", kind="task")(
    BenchmarkTask(
        name="tiny",
        about="Two frames of one digit from two.",
        data=DataConfig(context=2, horizon=2, size=(28, 28), options={"count": 1, "test_clips": 3}),
        metrics=("mse",),
        training=TrainingConfig(minutes=1),
    )
)
"""

MODEL = """
from nextframe.core.plugins import register
from nextframe.models.copy_last import CopyLast


@register("again")
class Again(CopyLast):
    idea = "The last frame once more."
"""

TRACKER = """
from nextframe.core.plugins import register


@register("notes", kind="tracker")
class Notes:
    id = where = ""
    endings = ()

    def __init__(self, run):
        self.file = run.folder / "notes.txt"

    def log(self, step, values):
        with self.file.open("a") as notes:
            notes.write(f"{step} {values['train/loss']}\\n")

    def media(self, step, name, path):
        pass

    def close(self, scores, finished):
        pass
"""

FILES: dict[Kind, tuple[str, str]] = {
    "model": (MODEL, "again"),
    "data": (DATA, "ramps"),
    "metric": (METRIC, "worst-pixel"),
    "task": (TASK, "tiny"),
    "recipe": (RECIPE, "mine"),
    "optimizer": (OPTIMIZER, "signs"),
    "schedule": (SCHEDULE, "halves"),
    "tracker": (TRACKER, "notes"),
}


@pytest.fixture(autouse=True)
def _registries_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in REGISTRIES:
        registry = registry_of(kind)
        registry.names()  # what packages offer belongs to what was there before
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


def written(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def run(*words: object) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.exception
    return done.output


def test_every_kind_has_a_registry_with_a_group_and_a_check() -> None:
    assert set(REGISTRIES) == set(get_args(Kind)) == set(FILES)
    for kind in REGISTRIES:
        registry = registry_of(kind)
        assert registry.group == {"data": "nextframe.data"}.get(kind, f"nextframe.{kind}s")
        assert registry.fits is not None
        for name in registry:
            registry.get(name)  # each passes the check of its own kind


@pytest.mark.parametrize("kind", FILES)
def test_a_file_adds_one_of_each_kind(kind: Kind, tmp_path: Path) -> None:
    text, name = FILES[kind]
    plugin = written(tmp_path, text)
    assert load_plugin(plugin) == [name]
    assert load_plugin(plugin) == [name], "a second time does nothing"
    assert name in registry_of(kind)
    assert str(plugin) in loaded_files()
    registry_of(kind).keep([])
    assert str(plugin) not in loaded_files()


def test_one_file_adds_several_kinds(tmp_path: Path) -> None:
    plugin = written(tmp_path, METRIC + OPTIMIZER + SCHEDULE)
    assert load_plugin(plugin) == ["worst-pixel", "signs", "halves"]


def test_the_page_for_contributors_is_right(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    plugin = written(tmp_path, re.findall(r"```python\n(.*?)```", page, re.DOTALL)[2])
    assert load_plugin(plugin) == ["my-noise", "worst-pixel", "my-rmsprop", "falling"]
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| `([\w/]+\.py)` \|", page, re.MULTILINE))
    assert set(rows) == set(REGISTRIES)
    for kind, file in rows.items():
        text = (Path(nextframe.__file__).parent / file).read_text(encoding="utf-8")
        assert f"{REGISTRIES[kind].partition(':')[2]}: Registry[" in text
        assert f"| `{file}` | `{registry_of(kind).group}` |" in page
    settings = ("--set", "training.optimizer=my-rmsprop", "--set", "training.schedule=falling", "--lr", "0.5")
    small = ["--data", "my-noise", "--steps", "4", "--batch", "2", "-q"]
    small += ["--set", "training.log_every=1", "--set", "run.report=false"]
    run("train", "conv2d", "--plugin", plugin, *settings, *small, "-o", tmp_path / "run")
    assert [line["lr"] for line in read_metrics(tmp_path / "run") if "lr" in line] == [0.5, 0.375, 0.25, 0.125]


MISTAKES = {
    "model": ("int", r"model 'x' is not a class that extends Predictor"),
    "data": ("lambda: 1", r"data set 'x' is not a function of a DataConfig that returns a ClipSet"),
    "metric": ("abs", r"metric 'x' is not a Metric of that name"),
    "task": ("{}", r"task 'x' is not a BenchmarkTask, a VideoTask or a SpeedTask of that name"),
    "recipe": ("{}", r"recipe 'x' is not a Recipe"),
    "optimizer": (
        "lambda parameters, lr: 1",
        r"optimizer 'x' is not a function of \(parameters, rate, weight decay, d",
    ),
    "schedule": ("lambda progress: 1.0", r"schedule 'x' is not a function of \(progress, warmup\)"),
    "tracker": ("lambda: 1", r"tracker 'x' is not a function of a Tracked that returns a Tracker"),
}


@pytest.mark.parametrize("kind", MISTAKES)
@pytest.mark.parametrize("way", ["by decorator", "by path"])
def test_a_mistake_in_a_file_is_one_line_and_nothing_stays(kind: Kind, way: str, tmp_path: Path) -> None:
    thing, says = MISTAKES[kind]
    at_once = f"register('x', kind='{kind}')(THING)"
    later = f"registry_of('{kind}').add('x', __name__ + ':THING')"
    start = "from nextframe.core.plugins import register, registry_of\n" + SCHEDULE + f"\nTHING = {thing}\n"
    before = {name: registry_of(name).names() for name in REGISTRIES}
    with pytest.raises(BadInputError, match=says) as caught:
        load_plugin(written(tmp_path, start + (at_once if way == "by decorator" else later)))
    assert "mine.py" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert {name: registry_of(name).names() for name in REGISTRIES} == before


def test_a_taken_name_and_an_unknown_kind_are_one_line() -> None:
    with pytest.raises(UserError, match=r"schedule 'cosine' of .*half: the name is taken; choose another"):
        register("cosine", kind="schedule")(half)
    with pytest.raises(UnknownNameError, match=r"unknown kind 'metrics'; did you mean 'metric'\?"):
        register("mine", kind="metrics")  # type: ignore[arg-type]


def half(progress: float, warmup: float) -> float:
    return 0.5


def test_what_a_callable_takes() -> None:
    assert takes(half, 2)
    assert not takes(half, 1)
    assert not takes(half, 3)
    assert not takes(3, 0)
    assert takes(lambda *all_of_it: 1, 4)
    assert not takes(lambda first, *, second: 1, 1)


def test_evaluate_measures_a_metric_and_data_of_plugins(tmp_path: Path) -> None:
    own = [
        word
        for text, name in ((METRIC, "m.py"), (DATA, "d.py"))
        for word in ("--plugin", written(tmp_path, text, name))
    ]
    small = ("--data", "ramps", "--context", 3, "--horizon", 2)
    run("evaluate", "copy-last", *own, *small, "--metrics", "worst-pixel", "--json", tmp_path / "rows.json")
    rows = {row["model"]: row for row in json.loads((tmp_path / "rows.json").read_text())["rows"]}
    assert rows["copy-last"]["metric"] == "worst-pixel"
    assert rows["copy-last"]["per_step"] == pytest.approx([20 / 255, 40 / 255])  # 20 levels a frame
    assert rows["linear"]["per_step"] == pytest.approx([0, 0], abs=1e-6)


def test_a_run_with_an_optimizer_and_a_schedule_of_plugins(tmp_path: Path) -> None:
    own = ("--plugin", written(tmp_path, OPTIMIZER + SCHEDULE))
    recipe = written(tmp_path, RECIPE, "recipe.py")
    settings = ("--set", "training.optimizer=signs", "--set", "training.schedule=halves", "--lr", "0.125")
    folder = tmp_path / "run"
    run("train", "mine", *own, "--plugin", recipe, *settings, "-o", folder, "--set", "run.report=false", "-q")
    assert [line["lr"] for line in read_metrics(folder)] == [0.125, 0.0625]
    trained = load_model(folder)
    seed_everything(0, "weights")
    fresh = create_model("conv2d", **trained.config.model_dump())
    moved = torch.cat([(a - b).abs().flatten() for a, b in zip(trained.parameters(), fresh.parameters(), strict=True)])
    sizes = torch.tensor([0.125 - 0.0625, 0.125 + 0.0625])  # two steps of one size each, in one direction or in two
    assert (moved[:, None] - sizes).abs().amin(1).max() < 1e-6


def test_a_run_is_logged_by_a_tracker_of_a_plugin(tmp_path: Path) -> None:
    own = ("--plugin", written(tmp_path, TRACKER), "--plugin", written(tmp_path, RECIPE, "recipe.py"))
    folder = tmp_path / "run"
    run("train", "mine", *own, "--set", "training.track=notes", "-o", folder, "--set", "run.report=false", "-q")
    notes = [line.split() for line in (folder / "notes.txt").read_text().splitlines()]
    assert [(int(step), float(loss)) for step, loss in notes] == [
        (line["step"], line["train/loss"]) for line in read_metrics(folder)
    ]


def test_a_name_of_no_optimizer_is_one_line_with_the_nearest(tmp_path: Path) -> None:
    values = {"steps": 1, "optimizer": "adamv"}
    with pytest.raises(
        UserError, match=r"^it: field 'optimizer' of TrainingConfig: unknown optimizer 'adamv'; did you"
    ):
        TrainingConfig.parse(values, "it")
    with pytest.raises(UserError, match=r"unknown schedule 'cosin'; did you mean 'cosine'\?"):
        TrainingConfig.parse({"steps": 1, "schedule": "cosin"}, "it")


def test_a_builder_that_returns_no_optimizer_is_one_line(tmp_path: Path) -> None:
    register("nothing", kind="optimizer")(lambda parameters, lr, decay, wants: None)
    words = ["train", "conv2d", "--data", "moving-digits", "--steps", "1", "--set", "training.optimizer=nothing"]
    done = CliRunner().invoke(app, [*words, "-o", str(tmp_path / "run")])
    assert str(done.exception) == "optimizer 'nothing' returned NoneType, which is not a torch optimizer"


@pytest.mark.usefixtures("quick_speed")
def test_a_task_of_a_plugin_is_run(tmp_path: Path) -> None:
    own = ("--plugin", written(tmp_path, TASK))
    run("benchmark", "tiny", *own, "--models", "copy-last", "-o", tmp_path / "rows", "-q")
    row = json.loads((tmp_path / "rows" / "copy-last.json").read_text())
    assert (row["task"]["name"], row["data"]["clips"]) == ("tiny", 3)


def package(folder: Path, points: dict[str, str]) -> None:
    """Leave a package as pip would: a module with one of each kind, which registers nothing, and its entry points."""
    texts = "\n".join(text for text, _ in FILES.values())
    own = texts.replace("from nextframe.core.plugins import register\n", "from their_words import register\n")
    (folder / "their_package.py").write_text(own, encoding="utf-8")
    (folder / "their_words.py").write_text("def register(name, kind='model'):\n    return lambda thing: thing\n")
    facts = folder / "their_package-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n", encoding="utf-8")
    lines = [f"[{group}]\n{point}\n" for group, point in points.items()]
    (facts / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")


POINTS = {
    "nextframe.models": "theirs = their_package:Again",
    "nextframe.data": "their-ramps = their_package:Ramps",
    "nextframe.metrics": "worst-pixel = their_package:WORST",
    "nextframe.tasks": "tiny = their_package:TINY",
    "nextframe.recipes": "theirs = their_package:MINE",
    "nextframe.optimizers": "signs = their_package:signs",
    "nextframe.schedules": "halves = their_package:halves",
    "nextframe.trackers": "notes = their_package:Notes",
}

LOOK = """
import sys
from nextframe.core.plugins import REGISTRIES, registry_of
registries = {kind: registry_of(kind) for kind in REGISTRIES}
names = {kind: registry.names()[-1] for kind, registry in registries.items()}
assert "their_package" not in sys.modules, "names are listed without importing"
print(names)
import their_package
from nextframe.training import TrainingConfig
assert TrainingConfig(steps=1, optimizer="signs", schedule="halves").optimizer == "signs"
assert registries["model"].get("theirs") is their_package.Again
assert registries["model"].name_of(their_package.Again) == "theirs"
for kind, registry in registries.items():
    registry.get(names[kind])
"""


def run_beside(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    beside = os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": beside, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)


def test_an_installed_package_offers_all_kinds(tmp_path: Path) -> None:
    package(tmp_path, POINTS)
    done = run_beside(tmp_path, LOOK)
    assert done.returncode == 0, done.stderr
    names = {"model": "theirs", "data": "their-ramps", "metric": "worst-pixel", "task": "tiny", "recipe": "theirs"}
    assert done.stdout.strip() == str({**names, "optimizer": "signs", "schedule": "halves", "tracker": "notes"})


def test_a_broken_entry_point_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, {"nextframe.things": "broken = their_lost_module:Thing\nwrong = math:pi"})
    monkeypatch.syspath_prepend(tmp_path)
    registry: Registry[str] = Registry("thing", "nextframe.things", "text", lambda name, thing: isinstance(thing, str))
    assert registry.names() == ["broken", "wrong"]
    with pytest.raises(UserError, match=r"thing 'broken' of package their-package cannot be imported: ModuleNotFound"):
        registry.get("broken")
    with pytest.raises(UserError, match=r"thing 'wrong' is not text"):
        registry.get("wrong")


def test_the_first_look_at_names_reads_the_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package(tmp_path, {"nextframe.things": "taken = math:pi"})
    registry: Registry[float] = Registry("thing", "nextframe.things")
    registry.add("taken", 1.0)
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):  # a second look does not hide the mistake
        with pytest.raises(UserError, match=r"thing 'taken' of package their-package: the name is taken"):
            _ = "taken" in registry


def test_help_reads_no_packages() -> None:
    code = (
        "import sys\nimport nextframe.cli\n"
        "sys.exit(bool({'importlib.metadata', 'torch', 'nextframe.models'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
