"""The tables of moving MNIST: what each task fixes, that models of the small one are small, and what a row says."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nextframe.benchmark import TASKS, BenchmarkTask, as_markdown, benchmark, default_names, read_row, verify
from nextframe.benchmark.entries import build
from nextframe.benchmark.run import multiply_accumulates, parameters
from nextframe.benchmark.speed.rate import clips_per_second
from nextframe.checkpoint import create_model
from nextframe.core.clip import Clip
from nextframe.core.errors import UserError
from nextframe.data import ClipSet, DataConfig, clips, open_data
from nextframe.evaluation import evaluate
from nextframe.models import CITED
from nextframe.models.contract import ModelConfig, Predictor, Request
from nextframe.recipes import RECIPES, about
from nextframe.recipes.small import SMALL
from nextframe.training.recipe import ModelSection, Recipe, TrainingConfig, model_fields
from nextframe.training.run import train
from own_models import registered
from tiny import Tiny

pytestmark = pytest.mark.usefixtures("quick_speed")

GIGA = 10**9
COUNTS = {  # millions of parameters, and of multiply-accumulates: a changed field or default shows here
    "small-compact": (0.727, 184),
    "small-convlstm": (0.107, 886),
    "small-convlstm-openstl": (1.69, 974),
    "small-simvp": (3.405, 888),
    "small-simvp-v1": (3.489, 910),
    "small-tau": (3.185, 820),
    "small-predformer": (2.387, 790),
    "small-predrnn": (1.558, 897),
    "small-predrnn++": (1.515, 873),
    "small-mim": (1.396, 766),
    "small-mau": (1.503, 821),
    "small-e3d-lstm": (1.355, 910),
    "small-phydnet": (1.44, 837),
    "small-swinlstm": (1.859, 823),
}


def clips_like(task: BenchmarkTask, **options: object) -> ClipSet:
    """Return the task's clips with scikit-learn's digits, which need no download."""
    return open_data(task.data.model_copy(update={"options": {**task.data.options, "digits": "embedded", **options}}))


@pytest.fixture(scope="module")
def small() -> ClipSet:
    return clips_like(TASKS.get("moving-mnist-small"))


def test_the_small_table_has_every_cited_model() -> None:
    assert {recipe.model.name for recipe in SMALL.values()} >= set(CITED)
    for name, recipe in SMALL.items():
        assert RECIPES.get(name) is recipe
        assert about(name)
        assert (recipe.training.minutes, recipe.training.batch) == (10, 16)
        assert recipe.data == TASKS.get("moving-mnist-small").data


@pytest.mark.parametrize("name", SMALL)
def test_a_model_of_the_small_table_takes_at_most_a_giga(name: str, small: ClipSet) -> None:
    """Multiply-accumulates of convolutions and products for a clip of 5 -> 5 frames of 32x32."""
    section = SMALL[name].model
    with torch.device("meta"), torch.no_grad():
        model = create_model(section.name, **model_fields(section, small)).eval()
        request = model.request(torch.empty(1, 5, 1, 32, 32), 5)
        with FlopCounterMode(display=False) as counter:
            model.forecast(request)
    macs = counter.get_total_flops() // 2
    assert macs <= GIGA
    assert (round(parameters(model) / 1e6, 3), round(macs / 1e6)) == COUNTS[name]


def test_models_without_a_recipe_take_part_and_are_small_too(small: ClipSet) -> None:
    names = default_names(TASKS.get("moving-mnist-small"), small)
    assert set(SMALL) <= set(names)
    assert {"copy-last", "linear", "flow"} <= set(names)
    for name in set(names) - set(SMALL):
        assert multiply_accumulates(build(ModelSection(name=name), small), small) <= GIGA, name


def test_the_tasks_are_the_standard_one_and_a_small_one() -> None:
    for name, frames, size in (("moving-mnist", 10, (64, 64)), ("moving-mnist-small", 5, (32, 32))):
        task = TASKS.get(name)
        assert task.metrics == ("mse-openstl", "mae-openstl", "mse", "mae", "ssim", "ssim-openstl")
        opened = clips_like(task)
        assert (opened.task.context, opened.task.horizon, opened.frame_shape) == (frames, frames, (1, *size))
    assert clips_like(TASKS.get("moving-mnist")).count("test") == 10_000
    assert TASKS.get("moving-mnist").data.options.get("digits", "mnist") == "mnist"


def test_the_file_of_the_field_is_another_test_split(tmp_path: Path) -> None:
    task, path = TASKS.get("moving-mnist"), tmp_path / "mnist_test_seq.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (20, 3, 64, 64), np.uint8))
    there = task.at(str(path))
    assert there.hash != task.hash, "figures on the file and on generated clips share no table"
    assert str(tmp_path) not in str(there.definition)
    assert there.at(str(path)).hash == there.hash
    opened = clips_like(there)
    assert np.array_equal(opened.read("test", np.arange(3)).target[2, :, 0].numpy(), np.load(path)[10:, 2])
    assert opened.count("train") is None
    with pytest.raises(UserError, match="has its own data"):
        TASKS.get("moving-mnist-small").at(str(path))


class Beyond(Predictor):
    """Predicts 1.5 in every pixel."""

    def forecast(self, request: Request) -> torch.Tensor:
        return request.context.new_full((len(request.context), request.horizon, *request.context.shape[2:]), 1.5)


def test_openstl_measures_what_is_not_clipped() -> None:
    """By hand, of black frames with 6 pixels: 1.5 and its square for each without clipping, 1 with it."""
    found = evaluate(
        Beyond(ModelConfig()),
        clips(torch.zeros(10, 4, 1, 2, 3), 2, 2),
        metrics=("mse-sum", "mae-sum", "mse"),
        compat="openstl",
        baselines=(),
        name="beyond",
    )
    means = {row.metric: row.mean for row in found.rows}
    assert means["mse-openstl"] == pytest.approx(6 * 1.5**2)
    assert means["mae-openstl"] == pytest.approx(6 * 1.5)
    assert (means["mse-sum"], means["mae-sum"], means["mse"]) == (6.0, 6.0, 1.0)


def test_a_row_says_its_speed_and_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = tiny_task(monkeypatch)
    paths = benchmark(task, tmp_path, models=["copy-last", "small-simvp"], budget={"steps": 2}, show=False)
    base, row = (read_row(path) for path in paths)
    assert base.clips_per_s > row.clips_per_s > 0
    assert row.run["threads"] == torch.get_num_threads()
    assert row.training.cpu_seconds > 0
    pixels = 32 * 32  # a sum over them is as many times the mean, and not clipping can only add
    assert base.figure("mse").mean * pixels == pytest.approx(base.figure("mse-openstl").mean)
    assert row.figure("mse").mean * pixels < row.figure("mse-openstl").mean
    assert verify(paths[1]) == row
    assert "clips/s" in as_markdown(paths)


def tiny_task(monkeypatch: pytest.MonkeyPatch) -> BenchmarkTask:
    """Return the small task with scikit-learn's digits and few clips, registered in its place."""
    task = TASKS.get("moving-mnist-small")
    options = {**task.data.options, "digits": "embedded", "val_clips": 2, "test_clips": 4}
    task = task.model_copy(update={"data": task.data.model_copy(update={"options": options})})
    monkeypatch.setitem(TASKS._entries, task.name, task)
    return task


class Pauses(Beyond):
    """Waits a fiftieth of a second each time."""

    def forecast(self, request: Request) -> torch.Tensor:
        time.sleep(0.02)
        return super().forecast(request)


def test_a_busy_processor_makes_no_model_slower() -> None:
    """Sixteen clips at a time, so by the clock on the wall at most 800 a second."""
    data = clips(torch.zeros(200, 4, 1, 2, 3), 2, 2)
    assert clips_per_second(Pauses(ModelConfig()), data, "train", "cpu", seconds=0.02) > 800


class Waits(Tiny):
    """Waits for a moment before its first step."""

    waited = False

    def loss(self, clip: Clip) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if not self.waited:
            time.sleep(1)
        self.waited = True
        return super().loss(clip)


@pytest.mark.parametrize("clock", ["wall", "processor"])
def test_minutes_of_the_processor_do_not_pass_while_a_run_waits(tmp_path: Path, clock: str) -> None:
    """Half a second: one step, which waits for longer than that, or more of those that follow it."""
    data = DataConfig(name="moving-digits", context=2, horizon=1, size=(32, 32))
    training = TrainingConfig(minutes=0.5 / 60, clock=clock, batch=1, val_every=10**6, val_clips=1)
    recipe = Recipe(model=ModelSection(name="waits"), data=data, training=training)
    with registered({"waits": Waits}):
        run = train(recipe, tmp_path, show=False)
    assert (run.trainer.step == 1) == (clock == "wall")
