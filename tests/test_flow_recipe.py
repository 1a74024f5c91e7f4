"""Optical flow from prepared clips to a trained model to classes, by the commands that are printed on the way."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from nextframe.checkpoint import save_model
from nextframe.cli import app
from nextframe.models.composite_lstm import CompositeLSTM, CompositeLSTMConfig
from nextframe.models.contract import TrainedTask
from nextframe.transfer.encoder import trained_data

SMALL = "--set model.hidden=[4] --steps 2 --batch 2 --set training.val_clips=2 --set run.report=false -q"


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


def run(line: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, shlex.split(line))
    said = done.output if done.exception is None or isinstance(done.exception, SystemExit) else str(done.exception)
    assert (done.exit_code == 0) == (code == 0), said
    return said


@pytest.fixture(scope="module")
def videos(tmp_path_factory) -> Path:
    """Six colour videos of 40 frames in two classes: a bright square goes to the right, or down."""
    folder = tmp_path_factory.mktemp("videos")
    for number in range(6):
        action = ("right", "down")[number % 2]
        video = np.full((40, 40, 40, 3), 30, np.uint8)
        for time, frame in enumerate(video):
            at = (time + 5 * number) % 24
            y, x = (10, at) if action == "right" else (at, 10)
            frame[y : y + 12, x : x + 12] = np.arange(144).reshape(12, 12, 1) + 60
        (folder / action).mkdir(exist_ok=True)
        np.save(folder / action / f"{number}.npy", video)
    return folder


def test_the_flow_recipe_reads_what_prepare_writes_and_its_advice_works(videos, tmp_path):
    clips = "--clips 8 --held-out 4 --context 4 --horizon 2 --threshold 1 --set prepare.max_flow=8 -q"
    said = run(f"prepare {videos} -o {tmp_path}/flow --set prepare.kind=flow {clips}")
    asked = re.search(r"nextframe train MODEL (.*)\)", said)[1]  # what prepare prints
    again, tries = asked, []
    while len(tries) < 3:
        done = CliRunner().invoke(app, shlex.split(f"train srivastava-flow {again} {SMALL} -o {tmp_path}/run"))
        if done.exit_code == 0:
            break
        tries.append(str(done.exception or done.output))
        again += " " + re.search(r"give (--.*)", tries[-1])[1]  # what the refusal says
    assert done.exit_code == 0, tries
    assert len(tries) == 1  # the scale of the flow is not the recipe's: one line says which it is
    assert "predict VIDEO" not in done.output  # a video has no two channels


def test_a_flow_model_is_transferred_without_another_setting(videos, tmp_path):
    run(
        f"train srivastava-flow --data {videos} --context 4 --horizon 2 --set data.max_flow=8 {SMALL} -o {tmp_path}/run"
    )
    assert trained_data([f"{tmp_path}/run"]) == {"size": (32, 32), "kind": "flow", "max_flow": 8.0}
    few = "--per-class 1 --draws 1 --methods probe,single-frame --set transfer.window=4"
    said = run(f"transfer {tmp_path}/run --data {videos} {few} --json {tmp_path}/found.json -q")
    assert "probe" in said
    assert '"kind": "flow"' in (tmp_path / "found.json").read_text()


def test_a_model_of_prepared_flow_has_the_scale_of_its_clips(videos, tmp_path):
    clips = "--clips 8 --held-out 4 --context 4 --horizon 2 --threshold 1 --set prepare.max_flow=8 -q"
    run(f"prepare {videos} -o {tmp_path}/flow --set prepare.kind=flow {clips}")
    run(f"train composite-lstm --data {tmp_path}/flow --context 4 --horizon 2 {SMALL} -o {tmp_path}/run")
    assert trained_data([f"{tmp_path}/run"]) == {"size": (32, 32), "kind": "flow", "max_flow": 8.0}


def test_frames_are_those_of_the_first_run_folder(tmp_path):
    fields = {"frame_height": 8, "frame_width": 6, "hidden": (3,)}
    for name, channels in (("grey", 1), ("rgb", 3), ("flow", 2)):
        task = TrainedTask(context=2, horizon=1, size=(8, 6), channels=channels)
        save_model(CompositeLSTM(CompositeLSTMConfig(channels=channels, **fields)), tmp_path / name, task=task)
    folders = [str(tmp_path / name) for name in ("grey", "rgb", "flow")]
    assert trained_data(["composite-lstm", *folders]) == {"size": (8, 6), "color": "grey"}
    assert trained_data(folders[1:]) == {"size": (8, 6), "color": "rgb"}
    assert trained_data(folders[2:]) == {"size": (8, 6), "kind": "flow"}
    assert trained_data(["composite-lstm"]) == {}


def test_a_recipe_for_clips_of_ones_own_asks_for_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = run(f"train srivastava-patches {SMALL} -o {tmp_path}/run", code=2)
    assert "name a folder or a file of them with --data PATH" in said
