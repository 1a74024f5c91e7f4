"""What a notebook user types, line by line: `import nextframe as nf` and no more than the page says."""

from __future__ import annotations

import base64
import inspect
import io
import json
import logging
import pickle
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

import nextframe as nf
from hub_stand_in import StandIn
from nextframe.cli import app
from nextframe.core import progress
from nextframe.core.errors import BadInputError, UserError
from nextframe.core.progress import ProgressBar
from nextframe.training import read_recipe

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "start" / "in-python.md"
QUICK = {"model.width": 8, "model.blocks": 1, "training.val_clips": 2, "training.precision": "32", "training.batch": 2}


def square(frames: int, speed: int = 1, size: int = 16, channels: int = 3) -> Tensor:
    """A white square of 4 pixels that moves right and around, uint8 (T, C, H, W)."""
    video = torch.zeros(frames, channels, size, size, dtype=torch.uint8)
    for time in range(frames):
        columns = [(time * speed + column) % size for column in range(4)]
        video[time, :, 6:10, columns] = 255
    return video


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a video, cat.mp4, and a folder of them, my_videos/."""
    monkeypatch.chdir(tmp_path)
    nf.write_video("cat.mp4", square(24, size=32), fps=8)
    for number in range(1, 6):
        nf.write_video(f"my_videos/{number}.gif", square(30, number, 32), fps=8)
    return tmp_path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandIn]:
    started = StandIn()
    monkeypatch.setenv("HF_ENDPOINT", started.address)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield started
    started.close()


def put_on(hub: StandIn, name: str, model: nf.Predictor, folder: Path) -> None:
    from nextframe.checkpoint import save_model

    save_model(model, folder)
    hub.add(name, {path.name: path.read_bytes() for path in folder.iterdir()})


# --- predict


def test_predict_of_a_path_says_what_it_predicted_with(here, caplog):
    prediction = nf.predict("cat.mp4", frames=10)
    assert prediction.frames.shape == (10, 3, 32, 32)
    assert (prediction.fps, prediction.model) == (8, "motion")  # a trained model that comes with the package
    assert torch.equal(prediction.frames, nf.predict(Path("cat.mp4"), nf.load("motion"), 10).frames)
    assert caplog.text == ""


def test_predict_of_frames_in_memory_is_what_the_model_predicts():
    model = nf.create_model("linear")
    video = torch.rand(2, 7, 3, 12, 14)
    expected = model.predict(video, 4)
    batch = nf.predict(video, "linear", frames=4)
    assert torch.equal(batch.frames, expected)  # floats are not rounded to bytes on the way
    assert (len(batch), batch[1].frames.shape) == (2, (4, 3, 12, 14))
    assert torch.equal(batch[1].frames, expected[1])
    one = nf.predict(video[1], model, frames=4)
    assert torch.equal(one.frames, expected[1])
    array = video[1].numpy()
    assert torch.equal(nf.predict(array, "linear", frames=4).frames, expected[1])  # (T, C, H, W)
    assert torch.equal(nf.predict(array.transpose(0, 2, 3, 1), "linear", frames=4).frames, expected[1])  # (T, H, W, C)


def test_predict_of_bytes_grey_and_truth():
    video = square(9, channels=1)
    grey = nf.predict(video[:, 0].numpy(), "copy-last", frames=2, compare=True)  # (T, H, W)
    assert grey.frames.shape == (2, 1, 16, 16)
    assert torch.equal(grey.frames, (video[6:7] / 255).expand(2, -1, -1, -1))
    assert torch.equal(grey.truth, video[7:] / 255)
    late = nf.predict(video, "copy-last", frames=1, at=3, stride=2)  # frames 0, 2, 4, then 6 is asked
    assert torch.equal(late.frames[0], video[4] / 255)


@pytest.mark.parametrize(
    ("frames", "layout", "says"),
    [
        (np.zeros((5, 3, 8, 3), np.uint8), None, 'could be TCHW or THWC: set the axes, as layout="THWC"'),
        (np.zeros((5, 8, 8, 4), np.uint8), None, "are not a video"),
        (np.zeros((5, 8, 8, 4), np.uint8), "THWC", "have 4 channels: give grey (1) or RGB (3) frames"),
        (torch.zeros(5, 8, 8, 3), None, "have 8 channels"),
        (torch.zeros(5, 3, 8, 8), "CTHW", "unknown layout 'CTHW'"),
        (torch.full((5, 3, 8, 8), 255.0), None, "values from 255 to 255: floats must be in [0, 1]"),
        (torch.full((5, 3, 8, 8), float("nan")), None, "floats must be in [0, 1]"),
        (torch.zeros(5, 3, 8, 8, dtype=torch.int64), None, "uint8 or floats in [0, 1], not torch.int64"),
        ([[1]], None, "a tensor or a NumPy array, not list"),
    ],
)
def test_predict_refuses_frames_that_it_would_have_to_guess(frames, layout, says):
    with pytest.raises(UserError) as error:
        nf.predict(frames, "flow", layout=layout)
    assert says in str(error.value)


def test_a_layout_settles_what_the_shape_does_not(here):
    array = np.random.default_rng(0).random((5, 3, 8, 3), np.float32)
    assert nf.predict(array, "copy-last", 1, layout="TCHW").frames.shape == (1, 3, 8, 3)
    assert torch.equal(
        nf.predict(array, "copy-last", 1, layout="THWC").frames[0], torch.from_numpy(array[-1]).permute(2, 0, 1)
    )


def test_a_prediction_is_saved_and_shown(here):
    prediction = nf.predict("cat.mp4", "copy-last", frames=3)
    assert prediction.save("next.npy") == Path("next.npy")
    saved = np.load("next.npy")
    assert np.array_equal(saved, (prediction.frames * 255).round().byte().permute(0, 2, 3, 1).numpy())
    shown = prediction.show()
    assert shown.frames.shape[0] == 10 + 3  # the context plays first
    assert "3 by copy-last" in shown.caption
    batch = nf.predict(torch.rand(2, 4, 3, 16, 16), "copy-last", frames=2)
    assert batch.show().frames.shape[0] == 4 + 2
    with pytest.raises(UserError, match="2 videos: save one"):
        batch.save("both.gif")


# --- evaluate


def test_evaluate_takes_names_paths_clips_tensors_and_models(here):
    by_name = nf.evaluate("flow", "moving-digits", clips=3, metrics=["mse"])
    by_config = nf.evaluate(nf.create_model("flow"), nf.DataConfig(), clips=3, metrics=["mse"])
    assert [row.mean for row in by_name.rows] == [row.mean for row in by_config.rows]
    assert f"{by_name.row('flow', 'mse').mean:.3g}" in str(by_name)
    assert by_name.row("flow", "mse").mean < by_name.row("copy-last", "mse").mean

    assert nf.evaluate("copy-last", Path("my_videos"), "train", clips=2).rows[0].data == "my_videos"
    clips = nf.clips(torch.rand(10, 6, 1, 16, 16), context=4, horizon=2)
    held_out = clips.read("test", np.arange(clips.count("test")))
    expected = (held_out.context[:, -1:] / 255 - held_out.target / 255).square().mean()
    assert nf.evaluate("copy-last", clips).row("copy-last", "mse").mean == pytest.approx(float(expected), rel=1e-6)


def test_evaluate_cuts_clips_as_the_model_was_trained(here):
    run = nf.fit("compact", "moving-digits", steps=1, context=3, horizon=2, size=(32, 32), settings=QUICK, quiet=True)
    found = nf.evaluate(run, "moving-digits", clips=2, metrics=["mse"])
    assert (found.context, len(found.rows[0].per_step)) == (3, 2)
    assert found.rows[0].mean == nf.evaluate(run.model, run.clips, clips=2, metrics=["mse"]).rows[0].mean


# --- fit


def test_fit_on_a_folder_returns_the_run(here):
    run = nf.fit("compact", "my_videos/", minutes=0.02, context=4, horizon=3, settings=QUICK, quiet=True)
    assert run.folder == Path("runs/compact")
    assert (run.model.trained.context, run.model.trained.horizon, run.model.trained.size) == (4, 3, (64, 64))
    assert run.losses[-1]["train/loss"] > 0
    assert [line["step"] for line in run.losses] == sorted(line["step"] for line in run.losses)
    given = torch.rand(1, 4, 1, 64, 64)  # the GIFs are grey
    assert torch.equal(nf.load(run).predict(given, 5), run.model.predict(given, 5))
    assert nf.predict("cat.mp4", run, frames=2).model == "compact"
    assert not (run.folder / "report.html").exists()
    page = Path(run.report)
    assert "compact on my_videos" in page.read_text(encoding="utf-8")
    assert run.report._repr_html_().startswith("<iframe srcdoc=")
    assert run.show().strip.shape[0] == 3


def test_fit_numbers_its_folders_and_takes_settings_by_name(here):
    short = {"steps": 1, "context": 3, "horizon": 2, "size": (32, 32), "quiet": True}
    nf.fit("compact", "moving-digits", settings=QUICK, **short)
    second = nf.fit("compact", "moving-digits", lr=1e-5, batch=3, seed=7, device="cpu", settings=QUICK, **short)
    assert second.folder == Path("runs/compact-2")
    training = read_recipe(second.folder).training
    assert (training.lr, training.seed, training.device, training.val_clips) == (1e-5, 7, "cpu", 2)
    with pytest.raises(TypeError, match="step"):
        nf.fit("compact", step=1)
    with pytest.raises(UserError, match=r"unknown field 'training\.val_evry'; did you mean 'val_every'"):
        nf.fit("compact", settings={"training.val_evry": 50})
    with pytest.raises(UserError, match="did you mean 'compact'"):
        nf.fit("compct")
    assert sorted(path.name for path in Path("runs").iterdir()) == ["compact", "compact-2"]  # a mistake leaves nothing


def test_fit_of_a_model_trains_it_in_place_and_goes_on(here):
    clips = nf.clips(square(40)[None].expand(4, -1, -1, -1, -1), context=4, horizon=3)
    model = nf.create_model("compact", context=4, horizon=3, channels=3, width=8, blocks=1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    settings = {key: value for key, value in QUICK.items() if not key.startswith("model.")}
    settings |= {"training.schedule": "constant", "training.log_every": 1}
    run = nf.fit(model, clips, steps=4, settings=settings, quiet=True)
    assert run.model is model
    assert any(not torch.equal(before[name], value) for name, value in model.state_dict().items())
    whole = nf.create_model("compact", context=4, horizon=3, channels=3, width=8, blocks=1)
    whole.load_state_dict(before)
    at_once = nf.fit(whole, clips, steps=8, settings=settings, quiet=True)
    further = nf.fit(model, clips, steps=8, settings=settings, folder=run.folder, resume=True, quiet=True)
    assert further.losses[-1]["train/loss"] == at_once.losses[-1]["train/loss"]


def test_a_run_on_frames_in_memory_goes_on_with_the_same_alone(here):
    frames, few = torch.rand(12, 5, 1, 16, 16), {"model.width": 8, "model.blocks": 1, "training.batch": 2}
    how = {"context": 3, "horizon": 2, "settings": few, "folder": here / "run", "quiet": True}
    nf.fit("compact", frames, steps=1, **how)
    with pytest.raises(UserError, match=r"clips is not the data that .*run was trained on: it has clips train"):
        nf.fit("compact", torch.rand(20, 5, 1, 16, 16), steps=2, resume=True, **how)
    assert nf.fit("compact", frames, steps=2, resume=True, **how).losses[-1]["step"] == 2


def test_fit_says_what_does_not_fit(here):
    video = torch.rand(8, 7, 1, 16, 16)
    model = nf.create_model("compact", context=4, horizon=3, channels=3, width=8, blocks=1)
    with pytest.raises(UserError, match=r"compact takes 3 channel\(s\), the frames have 1"):
        nf.fit(model, video, steps=1)
    with pytest.raises(UserError, match="the clips are in memory already, with context 4"):
        nf.fit("compact", nf.clips(video, context=4, horizon=3), context=5, steps=1)
    with pytest.raises(UserError, match=r"Linear is a torch module: give nextframe\.wrap"):
        nf.fit(nn.Linear(2, 2), video, steps=1)
    with pytest.raises(UserError, match="object is not data"):
        nf.fit("compact", object(), steps=1)
    with pytest.raises(UserError, match="resume needs the run"):
        nf.fit("compact", video, steps=1, resume=True)
    assert not Path("runs").exists()


def test_a_run_is_resumed_with_its_own_model_only(here):
    video, settings = torch.rand(6, 7, 1, 16, 16), {"training.val_clips": 2, "training.batch": 2}
    sizes = {"context": 4, "horizon": 3, "channels": 1}
    own = nf.create_model("compact", **sizes, width=8, blocks=1)
    more = {"steps": 2, "settings": settings, "folder": "run", "resume": True, "quiet": True}
    nf.fit(own, video, **(more | {"steps": 1, "resume": False}))
    for other in ("convlstm", nf.create_model("convlstm"), nf.wrap(TheirSimVP(), 4, 3, name="c")):
        with pytest.raises(UserError, match=r"run is a run of compact, not (convlstm|c): resume it with compact"):
            nf.fit(other, video, **more)
    for change in ({"width": 16, "blocks": 1}, {"width": 8, "blocks": 2}):
        with pytest.raises(UserError, match=r"a model with another config .*: give that model"):
            nf.fit(nf.create_model("compact", **sizes, **change), video, **more)
    with pytest.raises(UserError, match=r"with --data PATH \(if the clips were in memory, give them again\)"):
        nf.fit(own, **more)
    with pytest.raises(UserError, match=r"resume=True"):
        nf.fit(own, video, **(more | {"resume": False}))
    assert nf.fit("compact", video, **more).losses[-1]["step"] == 2
    done = CliRunner().invoke(app, ["train", "convlstm", "-o", "run", "--resume"])
    assert str(done.exception).startswith("run is a run of compact, not convlstm")
    nf.fit(own, nf.clips(video, 4, 3, name="mine"), **(more | {"folder": "named", "resume": False}))
    with pytest.raises(UserError, match=r"'mine'.*clips in memory, give them again"):
        nf.fit(own, **(more | {"folder": "named"}))


def test_what_is_not_a_model_or_a_section_is_refused_in_one_line(here):
    video = torch.rand(6, 7, 1, 16, 16)
    with pytest.raises(UserError, match=r"Linear is a torch module: give nextframe\.wrap"):
        nf.fit(nn.Linear(2, 2), video, folder="x")
    with pytest.raises(UserError, match=r"TheirSimVP is not a model: .*wrap"):
        nf.fit(TheirSimVP, video, folder="x")
    with pytest.raises(
        UserError,
        match=r"'run\.devices': .*in Python {.SECTION\.FIELD.: VALUE}\), with section model, data or training",
    ):
        nf.fit("compact", nf.clips(video, 4, 3), settings={"run.devices": 2})
    with pytest.raises(UserError, match="devices"):
        nf.fit("compact", video, steps=1, context=4, horizon=3, settings=QUICK, devices=0, quiet=True)
    assert not Path("x").exists()


def test_a_config_that_is_made_by_hand_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"^field 'mix\.0\.share' of DataConfig: .* greater than 0 \(got 0\)$"):
        nf.DataConfig(mix=[{"name": "moving-digits", "share": 0}])
    with pytest.raises(UserError, match=r"^field 'lr' of TrainingConfig: .* \(got -1\)$"):
        nf.TrainingConfig(steps=1, lr=-1)
    with pytest.raises(UserError, match="unknown field 'step'; did you mean 'steps'"):
        nf.TrainingConfig(step=1)
    config = nf.TrainingConfig(steps=1)
    assert pickle.loads(pickle.dumps(config)) == config.model_copy() == nf.TrainingConfig.parse({"steps": 1})


@pytest.mark.slow
def test_a_wrapped_module_is_trained_on_two_devices(here):
    model, settings = nf.wrap(TheirSimVP(), 4, 3), {"training.val_clips": 2, "training.batch": 2}
    before = model.module.out.weight.clone()
    run = nf.fit(model, torch.rand(6, 7, 1, 16, 16), steps=1, device="cpu", devices=2, settings=settings, quiet=True)
    assert run.model is model
    assert not torch.equal(before, run.model.module.out.weight)


def test_the_old_train_works_once_more_and_names_the_new_one(here):
    recipe = nf.Recipe(
        model={"name": "compact", "fields": {"width": 8, "blocks": 1}},
        training=nf.TrainingConfig(steps=1, batch=2, val_clips=2),
    )
    with pytest.warns(FutureWarning, match=r"nextframe\.fit.*nextframe\.training\.train"):
        run = nf.train(recipe, Path("old"), show=False)
    assert run.trainer.step == 1


# --- wrap


class TheirBlock(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.mix = nn.GroupNorm(2, width), nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.up, self.down = nn.Conv2d(width, 2 * width, 1), nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(torch.nn.functional.gelu(self.up(self.mix(self.norm(x)))))


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, frames: Tensor) -> Tensor:
        return self.missing(frames)


class TheirSimVP(nn.Module):
    """In the style of SimVP (Gao et al. 2022): frames encoded one by one, mixed over time as channels, decoded."""

    def __init__(self, context: int = 4, horizon: int = 3, channels: int = 1, width: int = 8) -> None:
        super().__init__()
        self.horizon, self.channels = horizon, channels
        self.encode = nn.Sequential(nn.Conv2d(channels, width, 3, 2, 1), nn.GroupNorm(2, width), nn.SiLU())
        self.translate = nn.Sequential(TheirBlock(context * width), TheirBlock(context * width))
        self.out = nn.Conv2d(context * width, horizon * width, 1)
        self.decode = nn.ConvTranspose2d(width, channels, 4, 2, 1)

    def forward(self, frames: Tensor) -> Tensor:  # (B, T, C, H, W) -> (B, H, C, H, W)
        batch = frames.shape[0]
        hidden = self.encode(frames.flatten(0, 1)).unflatten(0, (batch, -1)).flatten(1, 2)
        future = self.out(self.translate(hidden)).unflatten(1, (self.horizon, -1)).flatten(0, 1)
        return self.decode(future).unflatten(0, (batch, self.horizon))


def test_a_foreign_module_is_trained_measured_saved_and_loaded(here):
    torch.manual_seed(0)
    model = nf.wrap(TheirSimVP(), context=4, horizon=3)
    clips = nf.clips(torch.stack([square(7, speed, channels=1) for speed in range(1, 13)]), context=4, horizon=3)
    start = nf.evaluate(model, clips, metrics=["mse"]).rows[0]
    run = nf.fit(model, clips, steps=60, batch=4, settings={"training.val_every": 20}, quiet=True)
    trained = nf.evaluate(run.model, clips, metrics=["mse"])
    assert trained.model == "TheirSimVP"
    assert trained.rows[0].mean < 0.5 * start.mean
    assert run.folder == Path("runs/TheirSimVP")
    assert "TheirSimVP on clips" in Path(run.report).read_text(encoding="utf-8")

    given = torch.rand(2, 4, 1, 16, 16)
    loaded = nf.load(run, module=TheirSimVP())
    assert torch.equal(loaded.predict(given, 8), model.predict(given, 8))  # further than the module: fed back
    assert torch.equal(loaded.predict(given, 8)[:, :3], loaded.module(given).clamp(0, 1))
    assert loaded.trained == model.trained
    assert nf.predict(given, model, frames=2).model == "TheirSimVP"


@pytest.mark.usefixtures("quick_speed")
def test_a_foreign_module_stands_in_a_leaderboard(here):
    from nextframe.benchmark import TASKS, as_markdown, benchmark, read_row, verify

    task = TASKS.get("moving-digits").model_copy(
        update={"data": nf.DataConfig(context=4, horizon=3, size=(32, 32), options={"test_clips": 8})}
    )
    model = nf.wrap(TheirSimVP(), context=4, horizon=3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    rows = benchmark(task, here / "rows", models=["copy-last", model], budget={"steps": 3}, show=False)
    row = read_row(rows[1])
    assert (row.entry, row.model, row.kind, row.training.steps) == ("TheirSimVP", "TheirSimVP", "trained", 3)
    assert row.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert "| TheirSimVP |" in as_markdown(rows)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())  # a copy was trained
    assert benchmark(task, here / "rows", models=["copy-last", model], budget={"steps": 3}, show=False) == rows
    loaded = nf.load(here / "rows" / "TheirSimVP", module=TheirSimVP)
    assert nf.evaluate(loaded, task.data).row("TheirSimVP", "mse").mean == pytest.approx(row.figures[0].mean, rel=1e-4)
    with pytest.raises(UserError, match="is already trained, with another budget"):
        benchmark(task, here / "more", models=[loaded], budget={"steps": 3}, show=False)
    with pytest.raises(UserError):
        verify(rows[1])


def test_a_class_is_wrapped_with_its_arguments_and_needs_only_the_class_to_load(here):
    model = nf.wrap(TheirSimVP, 4, 3, arguments={"width": 4}, name="small")
    run = nf.fit(model, torch.rand(6, 7, 1, 16, 16), steps=1, settings={"training.val_clips": 2}, quiet=True)
    assert run.folder == Path("runs/small")
    given = torch.rand(1, 4, 1, 16, 16)
    assert torch.equal(nf.load(run, module=TheirSimVP).predict(given, 3), model.predict(given, 3))
    with pytest.raises(BadInputError, match=r"wrapped module \(test_face:TheirSimVP\).*module=TheirSimVP\(width=4\)"):
        nf.load(run)
    with pytest.raises(BadInputError, match="the config asks for"):
        nf.load(run, module=TheirSimVP(width=8))


def test_loading_imports_nothing_that_a_folder_names(here, monkeypatch):
    from nextframe.checkpoint import save_model

    Path("evil.py").write_text("open('ran', 'w').close()\nclass Net: pass\n")
    monkeypatch.syspath_prepend(str(here))
    save_model(nf.wrap(TheirSimVP(), 4, 3), here / "model")
    config = json.loads(Path("model/config.json").read_text())
    config["config"] |= {"module": "evil:Net", "name": "evil"}
    Path("model/config.json").write_text(json.dumps(config))
    with pytest.raises(BadInputError, match="evil:Net"):
        nf.load("model")
    nf.load("model", module=TheirSimVP())
    assert not Path("ran").exists()
    assert "evil" not in sys.modules


def test_a_wrapped_class_can_be_registered_and_then_has_a_name(here, monkeypatch):
    from nextframe.models import MODELS

    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))

    @nf.register("their-simvp")
    class Registered(nf.Wrapped):
        def make(self) -> nn.Module:
            return TheirSimVP(self.config.context, self.config.horizon)

    assert "their-simvp" in nf.list_models()
    run = nf.fit("their-simvp", torch.rand(6, 7, 1, 16, 16), steps=1, context=4, horizon=3, quiet=True)
    given = torch.rand(1, 4, 1, 16, 16)
    assert torch.equal(nf.load(run).predict(given, 3), run.model.predict(given, 3))  # its code is known by name
    with pytest.raises(UserError, match=r"^Registered does not take frames of 3x16x16"):
        run.model(torch.rand(1, 4, 3, 16, 16), 3)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: nf.wrap(TheirSimVP(), 4, 5),
            r"TheirSimVP returned \(1, 3, 1, 16, 16\).*horizon=5.*\(1, 5, 1, 16, 16\)",
        ),
        (lambda: nf.wrap(TheirSimVP(channels=3), 4, 3), r"TheirSimVP does not take frames of 1x16x16 \(C x H x W\): "),
        (lambda: nf.wrap(TheirSimVP, 4, 3, arguments={"depth": 2}), "TheirSimVP cannot be made: .*depth"),
        (lambda: nf.wrap(TheirSimVP, 4, 3, arguments={"width": torch.zeros(1)}), "arguments must be plain values"),
        (lambda: nf.wrap(3, 4, 3), "give a torch module or its class, not int"),
        (lambda: nf.wrap(nf.create_model("flow")), "is a model of nextframe already"),
        (lambda: nf.wrap(lambda: TheirSimVP(), 4, 3), "the name '<lambda>' cannot be a folder's: give name="),
        (lambda: nf.wrap(TheirSimVP().requires_grad_(False), 4, 3), "nothing to train: .*all its weights are frozen"),
        (lambda: nf.wrap(Broken(), 4, 3), "Broken does not take frames of 1x16x16 .*AttributeError: .*'missing'"),
        (
            lambda: nf.wrap(TheirSimVP(), 4, 3, loss=lambda a, b: (a - b) ** 2),
            r"is torch\.float32 \(\d, 3, 1, 16, 16\)",
        ),
        (lambda: nf.wrap(TheirSimVP(), 4, 3, loss=lambda a, b: 0.5), "loss of TheirSimVP is float: it should be"),
        (lambda: nf.wrap(TheirSimVP(), 4, 3, loss=lambda a: a.mean()), "loss of TheirSimVP cannot be computed: TypeE"),
        (lambda: nf.wrap(TheirSimVP(), 4, 3, name="../up"), "the name '../up' cannot be a folder's"),
    ],
)
def test_a_module_that_cannot_be_wrapped_is_refused_before_a_folder_is_made(here, make, says):
    with pytest.raises(UserError, match=says):
        nf.fit(make(), torch.rand(6, 7 if "5" not in says else 9, 1, 16, 16), steps=1, quiet=True)
    assert not Path("runs").exists()


def test_a_loss_without_a_gradient_is_refused(here):
    model = nf.wrap(TheirSimVP(), 4, 3, loss=lambda prediction, target: (prediction.detach() - target).square().mean())
    with pytest.raises(UserError, match="the loss of TheirSimVP has no gradient"):
        nf.fit(model, torch.rand(6, 7, 1, 16, 16), steps=1, quiet=True)


def test_a_module_says_which_frames_it_does_not_take_wherever_it_is_used():
    model, video = nf.wrap(TheirSimVP(), 4, 3), torch.rand(6, 7, 3, 16, 16)
    calls = (
        lambda: nf.predict(video[0], model, frames=3),
        lambda: nf.evaluate(model, video),
        lambda: model(video[:, :4], 3),
    )
    for call in calls:
        with pytest.raises(
            UserError, match=r"^TheirSimVP does not take frames of 3x16x16 \(C x H x W\): RuntimeError: "
        ):
            call()


def test_a_folder_of_a_wrapped_module_says_how_the_command_line_gets_its_code(here):
    video, settings = torch.rand(6, 7, 1, 16, 16), {"training.val_clips": 2}
    run = nf.fit(nf.wrap(TheirSimVP(), 4, 3), video, steps=1, settings=settings, quiet=True)
    for words in (["evaluate", str(run.folder), "--data", "moving-digits"], ["train", f"{run.folder}/recipe.yaml"]):
        said = str(CliRunner().invoke(app, words).exception)
        assert re.search("wrapped module .*whose code is not in it; .*register it in a file given with --plugin", said)


def test_a_loss_of_ones_own_is_the_one_that_is_trained(here):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(1, 2), nn.Conv2d(2, 2, 1), nn.Unflatten(1, (2, 1)))
    dark = nf.wrap(network, 2, 2, loss=lambda prediction, target: (prediction + 1).square().mean())
    video = torch.rand(6, 4, 1, 8, 8)
    nf.fit(dark, video, steps=200, lr=0.05, settings={"training.keep": "last"}, quiet=True)
    assert float(dark.predict(torch.rand(1, 2, 1, 8, 8), 2).max()) == 0.0  # pulled to -1, shown as black


def test_the_weights_of_a_loss_are_left_alone(here):
    class Weighted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.tensor(0.5))

        def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
            return self.weight * (prediction - target).square().mean()

    loss = Weighted()
    model = nf.wrap(TheirSimVP(), 4, 3, loss=loss)
    run = nf.fit(model, torch.rand(6, 7, 1, 16, 16), steps=3, lr=0.1, quiet=True)
    assert loss.weight.item() == 0.5
    assert set(model.state_dict()) == {f"module.{name}" for name in TheirSimVP().state_dict()}
    assert nf.load(run, module=TheirSimVP()).trained.horizon == 3


def test_a_module_without_weights_is_measured_but_not_trained(here):
    class Last(nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            return frames[:, -1:].expand(-1, 2, -1, -1, -1)

    model = nf.wrap(Last(), context=3, horizon=2)
    found = nf.evaluate(model, torch.rand(10, 5, 1, 8, 8))
    assert found.row("Last", "mse").mean == found.row("copy-last", "mse").mean
    with pytest.raises(UserError, match="nothing to train"):
        nf.fit(model, torch.rand(10, 5, 1, 8, 8), steps=1, quiet=True)


# --- load, list_models, show


def test_a_model_of_the_hub_is_loaded_by_name(here, hub):
    model = nf.create_model("compact", context=3, horizon=2, channels=1, width=8, blocks=1)
    put_on(hub, "user/name", model, here / "model")
    given = torch.rand(1, 3, 1, 16, 16)
    assert torch.equal(nf.load("user/name").predict(given, 2), model.predict(given, 2))
    assert nf.predict(given[0], "user/name", frames=2).model == "compact"


def test_what_is_shown_moves_in_a_notebook_and_stands_still_elsewhere(here, capfd):
    video = square(6)
    shown = nf.show(video, fps=8)
    page = shown._repr_html_()
    data = re.search(r'src="data:image/gif;base64,([^"]+)"', page)[1]
    with Image.open(io.BytesIO(base64.b64decode(data))) as gif:
        assert (gif.format, gif.n_frames, gif.size) == ("GIF", 6, (128, 128))
        gif.seek(3)
        assert np.array(gif.convert("L"))[64, 28] > 250  # the square has moved three pixels, each 8 wide
        assert np.array(gif.convert("L"))[64, 20] < 5
    with Image.open(io.BytesIO(shown._repr_png_())) as strip:
        assert strip.width > 6 * 72
    assert shown.save("frames.gif").exists()
    assert np.array(Image.open(shown.save("frames.png"))).shape[1] == strip.width
    assert nf.show(torch.rand(2, 6, 3, 16, 16)).frames.shape == (6, 3, 128, 2 * 128 + 4)
    assert nf.show("cat.mp4").fps == 8
    assert nf.show(video.permute(0, 2, 3, 1).numpy()).frames.shape == (6, 3, 128, 128)
    assert "6 frames of 128x128" in repr(shown)
    assert capfd.readouterr() == ("", "")


# --- the names themselves


@pytest.mark.any_processor
def test_every_name_is_there_typed_explained_and_costs_nothing_before_it_is_used():
    code = "import sys, nextframe; print(sorted({'torch', 'numpy', 'pydantic'} & set(sys.modules)), *dir(nextframe))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("[] ")
    assert set(nf.__all__) <= set(done.stdout.split())
    assert {name for name in done.stdout.split()[1:] if not name.startswith("__")} == set(nf.__all__)
    for name in nf.__all__:
        thing = getattr(nf, name)
        assert inspect.getdoc(thing), name
        if inspect.isfunction(thing):
            signature = inspect.signature(thing)
            untyped = [p.name for p in signature.parameters.values() if p.annotation is inspect.Parameter.empty]
            assert not untyped, name
            assert signature.return_annotation is not inspect.Signature.empty, name
            swallows = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature.parameters.values())
            assert swallows is (name == "create_model"), name  # whose fields are checked by the model's config
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nf.nothing  # noqa: B018


def python_page() -> str:
    """The code of docs/python.md."""
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    assert "`nf.train` is its old place" in page
    return "\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL))


def test_the_page_of_python_has_every_name():
    for name in set(nf.__all__) - {"train", "sweep"}:  # sweeps want Optuna: docs/how-to/sweep.md and test_sweep.py
        assert re.search(rf"\bnf\.{name}\b", python_page()), f"docs/python.md has no example of {name}"


@pytest.mark.slow
def test_the_page_of_python_runs(here, hub, monkeypatch):
    from nextframe.benchmark import TASKS
    from nextframe.models import MODELS

    monkeypatch.setattr(MODELS, "_entries", dict(MODELS._entries))
    digits = TASKS.get("moving-digits")
    small = digits.data.model_copy(update={"options": {"test_clips": 2}, "size": (32, 32)})
    monkeypatch.setitem(TASKS._entries, "moving-digits", digits.model_copy(update={"data": small}))
    put_on(hub, "user/name", nf.create_model("compact", channels=3, width=8, blocks=1), here / "model")
    nf.fit("compact", "my_videos/", steps=1, settings=QUICK, folder="runs/compact", quiet=True)
    shutil.copytree("my_videos", "other_videos")
    code = python_page()
    for long, short in {
        r"\bminutes=\d+": "minutes=0.01",
        r'"minutes": 5': '"steps": 1',
        "steps=2000": "steps=2",
        r'("moving-digits"|"my_videos/")\)(?= |$)': r"\1, clips=2)",
    }.items():
        code, count = re.subn(long, short, code, flags=re.MULTILINE)
        assert count, long
    exec(compile(code, "docs/python.md", "exec"), {"__name__": "page"})
    assert Path("leaderboard.html").exists()


# --- progress


SCRIPT = """
import torch, nextframe as nf
quick = {"training.val_clips": 2, "training.precision": "32", "model.width": 8, "model.blocks": 1}
quick["training.log_every"] = 1  # so that a loss is known by the first line, on a slow machine too
nf.fit("compact", torch.rand(6, 7, 1, 16, 16), minutes=0.08, context=4, horizon=3, settings=quick, folder="loud")
"""


@pytest.mark.any_processor
def test_a_script_without_logging_hears_of_a_training(here):
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    lines = done.stderr.strip().splitlines()
    assert lines[0] == "compact: 0.08 minutes on clips (4 + 3 frames of 1x16x16), in loud"
    assert lines[1] == "compact: model.residual=false, as 8 training clips suggest (unless it is set)"  # noise
    assert re.match(r"compact: \d+%  step \d+  (loss|val/mse) 0\.\d+", lines[2])
    assert len(lines) == 3  # 4.8 seconds: one line after 3


@pytest.mark.parametrize("quiet", [False, True])
def test_a_quiet_training_says_nothing(here, quiet, monkeypatch, capfd):
    monkeypatch.setattr(progress, "unheard", lambda: True)
    monkeypatch.setattr(progress, "FIRST_LINE", 0.0)
    nf.fit("compact", torch.rand(6, 7, 1, 16, 16), steps=3, context=4, horizon=3, settings=QUICK, quiet=quiet)
    out, err = capfd.readouterr()
    assert out == ""
    assert (err == "") is quiet


def test_lines_come_within_seconds_and_then_now_and_then(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress, "unheard", lambda: True)
    with ProgressBar("work") as bar:
        for second in range(1, 101):
            now[0] += 1
            bar.say(second, second / 100, f"loss {second}")
            bar.update(second / 100)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["3%", "33%", "63%", "93%"]
    assert lines[1] == "work: 33%  step 33  loss 33  1:07 left"
    with ProgressBar("work", show=False) as bar:
        now[0] += 1000
        bar.update(0.5)
    assert capsys.readouterr().err == ""


def test_who_has_set_logging_up_is_told_there_and_nowhere_else(monkeypatch):
    root, own = logging.getLogger(), logging.getLogger("nextframe")
    monkeypatch.setattr(own, "level", logging.NOTSET)
    monkeypatch.setattr(own, "_cache", {})
    monkeypatch.setattr(root, "handlers", [])
    assert progress.unheard()  # a script
    monkeypatch.setattr(own, "level", logging.WARNING)
    assert not progress.unheard()  # somebody wants silence
    monkeypatch.setattr(own, "level", logging.NOTSET)
    monkeypatch.setattr(root, "handlers", [logging.NullHandler()])
    monkeypatch.setattr(root, "level", logging.WARNING)
    logging.getLogger("nextframe")._cache.clear()
    assert progress.unheard()  # a handler that some notebooks put there, which shows warnings only
    monkeypatch.setattr(root, "level", logging.INFO)
    logging.getLogger("nextframe")._cache.clear()
    assert not progress.unheard()  # the command line


# --- the notebook


SETUP = """
import torch
from nextframe.core import progress
progress.FIRST_LINE = 0.3
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(10, 10, 3, padding=1)
    def forward(self, frames):
        return self.conv(frames.flatten(1, 2)).unflatten(1, (10, 1))
their_module, tensor_or_dataset, frames = Net(), torch.rand(6, 20, 1, 16, 16), torch.rand(5, 3, 16, 16)
"""
SMALL = 'settings={"model.width": 8, "model.blocks": 1, "training.val_clips": 2, "training.log_every": 1}'
CUT = {
    "minutes=10": f"minutes=0.02, {SMALL}",  # a notebook's user has ten minutes, a test has a second
    '"moving-digits")': '"moving-digits", clips=2)',
}
MORE = """
run.show()
---
run.report
---
len(run.losses) > 0, run.model.trained.horizon
---
nf.evaluate(nf.fit(model, clips, steps=2).model, clips).model
"""


def page_lines() -> list[str]:
    """The lines of the page's block, a cell each, with what takes long cut short."""
    block = re.search(r"```python\n(import nextframe as nf\n.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[1]
    for long, short in CUT.items():
        assert long in block
        block = block.replace(long, short)
    return [line for line in block.splitlines() if line]


@pytest.mark.any_processor
def test_the_lines_of_the_page_work_in_a_notebook(here, hub):
    import nbformat
    from nbclient import NotebookClient

    put_on(hub, "user/name", nf.create_model("compact", width=8, blocks=1), here / "model")
    cells = [SETUP, *page_lines(), *MORE.split("---\n")]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(here)}}).execute()

    def cell(beginning: str) -> tuple[str, str, str]:
        """What the cell that begins so shows, as text and as HTML, and what it writes."""
        found = next(cell for cell in notebook.cells if cell.source.startswith(beginning))
        data = [output["data"] for output in found.outputs if "data" in output]
        text = "".join(output["text"] for output in found.outputs if output.output_type == "stream")
        return "".join(d["text/plain"] for d in data), "".join(d.get("text/html", "") for d in data), text

    text, html, written = cell("nf.predict")
    assert text == "<Prediction by motion of cat.mp4: frames (10, 3, 32, 32)>"
    assert "data:image/gif;base64," in html
    assert written == ""
    assert cell("nf.evaluate")[0].startswith("<Evaluation of flow on moving-digits, test split: mse 0.0")
    assert "copy-last" in cell("nf.evaluate")[1]
    decides = r"compact: model\.residual=\w+, as 8 training clips suggest \(unless it is set\)"
    assert re.match(rf"compact: 0.02 minutes on my_videos/ .*\n{decides}\ncompact: \d+%.*\n$", cell("run = nf.fit")[2])
    assert cell("nf.load")[0].startswith("Compact(")
    assert "'compact'" in cell("nf.list_models")[0]
    assert "data:image/gif;base64," in cell("nf.show")[1]
    assert "data:image/gif;base64," in cell("run.show")[1]
    assert "<iframe" in cell("run.report")[1]
    assert cell("len(run.losses)")[0] == "(True, 10)"
    assert cell("nf.evaluate(nf.fit")[0] == "'Net'"
    assert "Warning" not in "".join(cell(c.source)[2] for c in notebook.cells)
