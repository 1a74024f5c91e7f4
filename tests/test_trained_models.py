"""Trained models by name: where each is looked for, half precision, and the command that makes them of recipes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import nextframe
from hub_stand_in import StandIn, stand_in_for
from nextframe.checkpoint import create_model, find_trained, load_model, resolve_model, save_model, trained_models
from nextframe.checkpoint.weights import ON_HUB, SHIPPED, VARIABLE, weights_folder
from nextframe.cli import app
from nextframe.core.errors import BadInputError, UnknownNameError, UserError
from nextframe.core.files.whole_file import sha256_of
from nextframe.data import DataConfig
from nextframe.evaluation.besides.beside import SEPARATED
from nextframe.recipes import load_recipe
from nextframe.recipes.weights.__main__ import main
from nextframe.recipes.weights.asked import Asked
from nextframe.recipes.weights.by_recipe.material import SKLEARN_DIGITS, VIDEOS
from nextframe.recipes.weights.by_recipe.plans import RecipePlan
from nextframe.recipes.weights.by_recipe.work import Spent, recipe_for, ship_recipe_weights
from nextframe.recipes.weights.plans import PLANS
from nextframe.training import override
from nextframe.training.optim.schedule import SCHEDULES

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "motion" / "data"
TINY = RecipePlan(
    about="A tiny one, for a test.",
    recipe="composite-lstm",
    material=SKLEARN_DIGITS,
    settings={
        "data.size": (32, 32),
        "data.context": 3,
        "data.horizon": 2,
        "data.options.val_clips": 4,
        "data.options.test_clips": 6,
        "model.hidden": (4,),
        "training.batch": 2,
        "training.precision": "32",
        "training.schedule": "constant",
    },
    whole=40,
    shown=4,
    clips=5,
)
OWN = [name for name in PLANS if isinstance(PLANS.get(name), RecipePlan)]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """OUT of two calls of two steps."""
    names = list(PLANS)
    PLANS.add("tiny", TINY)
    folder = tmp_path_factory.mktemp("weights") / "out"
    for _ in range(2):
        assert main(["tiny", "--steps", "2", "--seed", "3", "--device", "cpu", "--out", str(folder)]) == 0
    yield folder
    PLANS.keep(names)


@pytest.fixture
def weights(out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `weights` of a checkout, with the tiny model in it."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "weights"))
    assert ship_recipe_weights(TINY, out, "tiny") == tmp_path / "weights" / "tiny"
    return tmp_path / "weights"


def test_a_second_call_goes_on_where_the_first_ended(out: Path) -> None:
    state = torch.load(out / "run" / "checkpoints" / "last" / "state.pt", weights_only=True)
    calls = json.loads((out / "calls.json").read_text())
    assert state["counters"]["step"] == 4
    assert [call["steps"] for call in calls] == [2, 2]
    assert sum(call["seconds"] for call in calls) == pytest.approx(state["counters"]["seconds"], abs=0.1)


def test_the_minutes_of_a_call_are_added_to_those_spent(tmp_path: Path) -> None:
    asked = Asked("tiny", tmp_path, tmp_path, minutes=8.0, seed=5)
    recipe = recipe_for(TINY, asked, None, Spent(steps=7, seconds=90.0))
    assert recipe.training.minutes == pytest.approx(9.5)
    assert recipe.training.steps is None
    assert recipe.training.seed == 5
    assert recipe_for(TINY, replace(asked, minutes=None, steps=3), None, Spent(7, 90.0)).training.steps == 10


def test_settings_of_a_device_come_on_top_of_the_plan_s_and_are_told(tmp_path: Path) -> None:
    plan = replace(TINY, on={"cpu": {"training.batch": 3, "training.compile": True}, "cuda": {"training.batch": 64}})
    here = plan.for_device("cpu")
    assert here.settings == {**TINY.settings, "training.batch": 3, "training.compile": True}
    asked = Asked("tiny", tmp_path, tmp_path, minutes=8.0)
    assert recipe_for(here, asked, None, Spent()).training.batch == 3
    assert recipe_for(here, asked, None, Spent()).training.compile
    assert not recipe_for(here, replace(asked, compile=False), None, Spent()).training.compile
    assert TINY.for_device("cpu").settings == TINY.settings


def test_the_settings_of_the_device_are_what_trains_and_what_the_folder_tells(tmp_path: Path) -> None:
    names = list(PLANS)
    PLANS.add("on-a-cpu", replace(TINY, on={"cpu": {"training.batch": 3}, "cuda": {"training.batch": 64}}))
    try:
        assert main(["on-a-cpu", "--steps", "1", "--device", "cpu", "--out", str(tmp_path / "out")]) == 0
    finally:
        PLANS.keep(names)
    facts = json.loads((tmp_path / "out" / "model" / "config.json").read_text())
    assert facts["training"]["settings"]["training.batch"] == 3
    assert "batch: 3\n" in (tmp_path / "out" / "run" / "recipe.yaml").read_text()
    assert "`training.batch=3`" in (tmp_path / "out" / "model" / "README.md").read_text()


def stopping(progress: float, warmup: float) -> float:
    """A schedule that stops the training, as Ctrl-C does, once half of the steps are taken."""
    if progress >= 0.5:
        raise KeyboardInterrupt
    return 1.0


def test_a_call_that_is_interrupted_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names, schedules = list(PLANS), list(SCHEDULES)
    SCHEDULES.add("stopping", stopping)
    settings = {**TINY.settings, "training.schedule": "stopping", "training.checkpoint_every": 1}
    PLANS.add("stopped", replace(TINY, settings=settings))
    try:
        assert main(["stopped", "--steps", "6", "--device", "cpu", "--out", str(tmp_path / "out")]) == 130
    finally:
        PLANS.keep(names)
        SCHEDULES.keep(schedules)
    assert capsys.readouterr().err.endswith("nextframe: interrupted; the same command goes on\n")
    assert [call["steps"] for call in json.loads((tmp_path / "out" / "calls.json").read_text())] == [3]


def test_the_folder_says_how_it_came_about(out: Path) -> None:
    facts = json.loads((out / "model" / "config.json").read_text())
    assert facts["weights_sha256"] == sha256_of(out / "model" / "model.safetensors")
    assert facts["task"]["context"] == 3
    training = facts["training"]
    assert training["recipe"] == "composite-lstm"
    assert training["settings"]["data.size"] == [32, 32]
    assert "CC-BY-4.0" in training["material"]
    for run in training["runs"]:
        assert {"command", "commit", "seed", "machine", "date", "seconds", "steps", "batch"} == set(run)
        assert run["seed"] == 3
        assert run["command"] == "python -m nextframe.recipes.weights tiny --steps 2 --seed 3"
    files = {"README.md", "clip.gif", "config.json", "model.safetensors", "prediction-1.gif", "prediction-2.gif"}
    assert {path.name for path in (out / "model").iterdir()} == files | {"results.json"}


def test_the_card_has_what_the_stored_weights_reach(out: Path) -> None:
    """Measured again from the folder, in half precision: the same figures, beside the baselines."""
    rows = json.loads((out / "model" / "results.json").read_text())["rows"]
    recipe = override(load_recipe(TINY.recipe), {**TINY.settings, "data.options.digits": "embedded"})
    again = nextframe.evaluate(load_model(out / "model"), recipe.data, clips=5, metrics=["mse"], device="cpu", seed=3)
    stored = {row["model"]: row["mean"] for row in rows if row["metric"] == "mse"}
    assert stored["tiny"] == pytest.approx(again.row("composite-lstm", "mse").mean, rel=1e-6)
    assert {"copy-last", "flow", "linear", "zero"} <= set(stored)
    card = (out / "model" / "README.md").read_text()
    assert f"| **tiny** | {stored['tiny']:.3f}" in card
    assert "1.25 % of the clips of the full training, 40 steps of 16" in card  # four steps of two
    assert "tiny loses to" in card
    assert "nextframe predict weights/tiny/clip.gif --model tiny -n 4 --compare" in card
    assert str(out) not in card + json.dumps(rows)


def test_a_name_is_a_model_for_any_video(weights: Path, tmp_path: Path) -> None:
    """The model takes grey frames of 32x32 only; the video is in colour, of another size and shape."""
    video = tmp_path / "colour.npy"
    np.save(video, np.random.default_rng(0).integers(0, 255, (5, 50, 70, 3), np.uint8))
    run = CliRunner().invoke(app, ["predict", str(video), "--model", "tiny", "-n", "4", "-o", str(tmp_path / "o.npy")])
    assert run.exit_code == 0, run.output
    assert np.load(tmp_path / "o.npy").shape == (4, 50, 70)
    command = ["predict", str(weights / "tiny" / "clip.gif"), "--model", "tiny", "-n", "4", "--compare"]
    assert CliRunner().invoke(app, [*command, "-o", str(tmp_path / "next.gif")]).exit_code == 0  # as the card says
    assert (tmp_path / "next.gif").stat().st_size > 0


def test_models_lists_and_shows_what_is_trained(weights: Path) -> None:
    listed = CliRunner().invoke(app, ["models"]).output
    assert "tiny" in listed
    assert "A tiny one, for a test." in " ".join(listed.split())
    shown = CliRunner().invoke(app, ["models", "tiny"]).output
    assert "licence: CC-BY-4.0" in shown
    assert CliRunner().invoke(app, ["models", "motion"]).output.count("motion:") >= 1


def test_the_app_offers_what_is_trained(weights: Path) -> None:
    pytest.importorskip("gradio")
    from nextframe.web.serve import offer

    offered = offer(())
    assert next(iter(offered)) == "motion"
    assert offered["tiny"] == "tiny"


def test_the_package_comes_before_the_hub_and_the_hub_before_a_checkout(
    weights: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(SHIPPED / "motion", weights / "motion")
    assert find_trained("motion") == SHIPPED / "motion"
    assert find_trained("tiny") == weights / "tiny"
    monkeypatch.setitem(ON_HUB, "tiny", "user/tiny")
    hub: StandIn
    with stand_in_for(monkeypatch, tmp_path / "cache") as hub:
        files = {name: (out / "model" / name).read_bytes() for name in ("config.json", "model.safetensors")}
        hub.add("user/tiny", files)
        found = find_trained("tiny")
        assert found is not None
        assert tmp_path / "cache" in found.parents
        monkeypatch.setitem(ON_HUB, "tiny", "user/absent")
        assert find_trained("tiny") == weights / "tiny"
        assert "weights/tiny is used" in caplog.text
        shutil.rmtree(weights / "tiny")
        assert "tiny" in trained_models()
        with pytest.raises(BadInputError, match="user/absent: is neither a folder here nor a model on the Hub"):
            resolve_model("tiny")


def test_without_a_checkout_there_is_what_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert weights_folder() == ROOT / "weights"
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent"))
    assert trained_models() == ["digits", "motion"]
    assert find_trained("keras-convlstm") is None
    with pytest.raises(UnknownNameError, match="unknown model or run folder 'keras-convlst'"):
        resolve_model("keras-convlst")


def test_half_precision_is_read_as_float32_and_rounds_by_eleven_bits_at_most(tmp_path: Path) -> None:
    model = create_model("composite-lstm", frame_height=4, frame_width=4, hidden=(8,))
    spread = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape, generator=spread) * 10 ** (4 * torch.rand(weight.shape) - 6))
    save_model(model, tmp_path / "half", half=True)
    stored = load_file(tmp_path / "half" / "model.safetensors")
    loaded = load_model(tmp_path / "half").state_dict()
    assert {value.dtype for value in stored.values()} == {torch.float16}
    for name, value in model.state_dict().items():
        assert loaded[name].dtype is torch.float32
        error = (loaded[name] - value).abs()
        assert bool((error <= torch.maximum(value.abs() * 2**-11, torch.tensor(2.0**-25))).all()), name
        assert float(error.max()) > 0  # it is rounded


def test_a_weight_beyond_half_precision_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    model = create_model("composite-lstm", frame_height=4, frame_width=4, hidden=(2,))
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = 1e5
    with pytest.raises(UserError, match="has 100000, too large for half precision"):
        save_model(model, tmp_path / "half", half=True)
    assert not (tmp_path / "half").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["mnist-latent", "--start", "scratch"], "--start is for motion: mnist-latent is trained as the recipe"),
        (["mnist-latent", "--data", "mnist"], "trained on digits that come along; omit it"),
        (["mnist-laten"], "unknown name of weights 'mnist-laten'; did you mean 'mnist-latent'?"),
        (["catz-mixture", "--data", "absent"], "there is no such folder of training material"),
        (["film-latent-small", "--ship"], "has no model/results.json; train first"),
    ],
)
def test_wrong_words_are_one_line(
    words: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, "--out", "out"]) == 2
    written = capsys.readouterr().err
    assert line in written
    assert written.count("\n") == 1


def test_a_folder_of_something_else_is_not_trained_into(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["mnist-latent", "--steps", "2", "--out", str(tmp_path)]) == 2
    assert "holds other things; give a new folder as OUT" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("name", OWN)
def test_the_recipe_of_each_name_has_the_settings_of_its_plan(name: str, tmp_path: Path) -> None:
    plan = PLANS.get(name)
    assert isinstance(plan, RecipePlan)
    try:
        base = load_recipe(plan.recipe)
    except UnknownNameError:
        pytest.skip(f"the recipe {plan.recipe} is not there yet")
    for more in ({}, *plan.on.values()):
        recipe = override(base, {**plan.settings, **more, "training.minutes": 1.0})
        create_model(recipe.model.name, **recipe.model.fields)
    assert plan.licence in ("CC-BY-4.0", "CC-BY-SA-3.0", "CC0-1.0")


def test_no_video_is_in_two_splits(tmp_path: Path) -> None:
    if not REAL.is_dir():
        pytest.skip("needs the material in ../shared/motion/data")
    settings = VIDEOS.settings(REAL, tmp_path / "material")
    names = {
        part: {path.name for path in (tmp_path / "material" / part).iterdir()} for part in ("train", "val", "test")
    }
    assert settings["data.name"] == str(tmp_path / "material")
    assert not names["train"] & names["val"]
    assert not (names["train"] | names["val"]) & names["test"]
    assert names["val"] == set(VIDEOS.val)
    assert len(names["test"]) == 4
    assert not any("prediction" in name for part in names.values() for name in part)


def test_the_trained_models_of_the_checkout_are_whole_and_small() -> None:
    folders = sorted(path.parent for path in (ROOT / "weights").glob("*/config.json"))
    for folder in folders:
        facts = json.loads((folder / "config.json").read_text())
        assert facts["weights_sha256"] == sha256_of(folder / "model.safetensors"), folder.name
        plan = PLANS.get(folder.name)
        images = {"prediction-1.gif"} | (set() if plan.material.real else {"prediction-2.gif"})
        images |= set() if plan.anywhere else {"clip.gif"}
        found = {path.name for path in folder.iterdir()}
        assert found == {"README.md", "config.json", "model.safetensors", "results.json", *images}
        assert facts["training"]["licence"]
        assert folder.name in PLANS
    assert sum(path.stat().st_size for folder in folders for path in folder.iterdir()) <= 30e6


@pytest.mark.parametrize("name", [name for name in trained_models() if find_trained(name)])
def test_the_next_frame_is_neither_grey_nor_a_smear(name: str) -> None:
    """Of the clip of its card, or of the free video: as much contrast as the truth has, and like it."""
    folder = find_trained(name)
    own = folder / "clip.gif"
    clip = own if own.exists() else ROOT / "docs" / "media" / "stream-of-water.mp4"
    found = nextframe.predict(clip, name, 1, at=nextframe.load(name).trained.context, compare=True)
    seen = torch.stack([found.frames[0].mean(0).flatten(), found.truth[0].mean(0).flatten()])
    contrast, likeness = float(seen[0].std() / seen[1].std()), float(seen.corrcoef()[0, 1])
    assert contrast > 0.6, contrast
    assert likeness > 0.85, likeness


def test_each_component_of_the_shipped_digits_is_one_digit() -> None:
    """Of scikit-learn's digits, which it was not trained on: MNIST is not in the repository."""
    data = DataConfig(name="moving-digits", context=10, horizon=10, options={"objects": True})
    found = nextframe.evaluate("digits", data, metrics=("mse",), clips=32)
    share = next(row.mean for row in found.beside if row.metric == SEPARATED.name)
    assert share >= 0.8


def test_each_trained_model_predicts_any_video(tmp_path: Path) -> None:
    """A colour video of another size than any was trained on, uint8 in memory."""
    rows = torch.arange(48)[:, None]
    frames = torch.stack([((rows + torch.arange(72) + 2 * t) % 24 < 12).to(torch.uint8) * 200 for t in range(12)])
    video = torch.stack([frames, 255 - frames, frames], 1)
    for name in trained_models():
        found = nextframe.predict(video, name, 2, device="cpu").frames
        assert found.shape[-2:] == (48, 72), name
        assert bool(torch.isfinite(found).all()), name
