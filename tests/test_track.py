"""Where the log of a run goes beside metrics.jsonl: read back with the libraries' own readers, and equal to it."""

from __future__ import annotations

import json
import logging
import os
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nextframe.cli import main
from nextframe.core.errors import NotSupportedError, UserError
from nextframe.core.plugins import register
from nextframe.data import DataConfig
from nextframe.training import ModelSection, Recipe, TrainingConfig, read_metrics, train
from nextframe.training.track.registry import TRACKERS, Tracked
from nextframe.training.track.trackers import IDS

TIMES = {"seconds", "clips_per_s"}
EXTRAS = "an optional library: make test-all installs it (requirements-extras.lock)"
STOPS_AT, CHECKPOINT, STEPS = 6, 4, 8


def recipe(*track: str, **training: Any) -> Recipe:
    usual = {"steps": STEPS, "batch": 2, "log_every": 2, "val_every": 3, "checkpoint_every": CHECKPOINT, "val_clips": 2}
    usual |= {"precision": "32", "track": track}
    data = DataConfig(name="moving-digits", context=2, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 4})
    fields = {"patch": 8, "width": 8, "blocks": 1, "kernel": 3, "residual": False}
    model = ModelSection(name="compact", fields=fields)
    return Recipe(model=model, data=data, training=TrainingConfig(**(usual | training)))


class Recording:
    """A tracker that keeps what it is told, and can break or end the process in the middle of a run."""

    id, where, endings = "mine", "", (".gif",)

    def __init__(self, run: Tracked) -> None:
        self.run, self.lines, self.files, self.closed = run, [], [], None

    def log(self, step: int, values: dict[str, float]) -> None:
        self.lines.append((step, dict(values)))

    def media(self, step: int, name: str, path: Path) -> None:
        self.files.append((step, name, path.name))

    def close(self, scores: dict[str, float], finished: bool) -> None:
        self.closed = (scores, finished)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Recording]]:
    """The trackers of a plugin that were opened: `records`; `breaks` and `stops` do so at step 6."""
    monkeypatch.setattr(TRACKERS, "_entries", dict(TRACKERS._entries))
    made: list[Recording] = []

    def recording(error: BaseException | None) -> Any:
        def open_(run: Tracked) -> Recording:
            tracker = Recording(run)
            made.append(tracker)
            kept = tracker.log

            def log(step: int, values: dict[str, float]) -> None:
                kept(step, values)
                if error is not None and step == STOPS_AT and run.step == 0:
                    raise error

            tracker.log = log
            return tracker

        return open_

    register("records", kind="tracker")(recording(None))
    register("breaks", kind="tracker")(recording(ConnectionError("no route\nto host")))
    register("stops", kind="tracker")(recording(KeyboardInterrupt()))
    return made


def floats(folder: Path) -> dict[int, dict[str, float]]:
    """The numbers of metrics.jsonl by step."""
    lines = read_metrics(folder)
    return {line["step"]: {k: v for k, v in line.items() if isinstance(v, float)} for line in lines}


def stopped_and_resumed(folder: Path, name: str) -> None:
    """A run that ends at once after it has logged step 6, two steps after its checkpoint, and is then resumed."""
    with pytest.raises(KeyboardInterrupt):
        train(recipe(name, "stops"), folder, show=False)
    assert list(floats(folder)) == [2, 3, 4, 6]
    train(recipe(name), folder, resume=True, show=False)
    assert list(floats(folder)) == [2, 3, 4, 6, 8]


# --- what every tracker is told ---------------------------------------------------------------------------------


def test_a_tracker_is_told_what_stands_in_the_log(tmp_path: Path, opened: list[Recording]) -> None:
    train(recipe("records"), tmp_path / "mine", show=False)
    (told,) = opened
    assert dict(told.lines) == floats(tmp_path / "mine")
    assert {"train/loss", "val/mse", "lr", "clips_per_s"} <= {name for _, values in told.lines for name in values}
    assert (told.run.name, told.run.step, told.run.id) == ("mine", 0, "")
    assert told.run.settings["model"]["name"] == "compact"
    validated = [step for step, values in told.lines if "val/mse" in values]
    assert told.files == [(step, "samples", f"step-{step:07d}.gif") for step in validated]
    step = json.loads((tmp_path / "mine" / "model" / "config.json").read_text())["training"]["step"]
    values = {f"kept/{name}": floats(tmp_path / "mine")[step][name] for name in ("val/mse", "val/loss")}
    assert told.closed == ({"kept/step": step, **values}, True)
    assert not (tmp_path / "mine" / "tensorboard").exists()


def test_a_resumed_run_gives_a_tracker_its_id_and_step(tmp_path: Path, opened: list[Recording]) -> None:
    stopped_and_resumed(tmp_path / "mine", "records")
    first, _, again = opened
    assert first.closed == ({}, False)
    assert (again.run.id, again.run.step) == ("mine", CHECKPOINT)
    assert [step for step, _ in again.lines] == [6, 8]
    same = [{k: v for k, v in dict(one.lines)[6].items() if k not in TIMES} for one in (first, again)]
    assert same[0] == same[1]


def test_a_tracker_that_fails_costs_one_line_and_no_training(
    tmp_path: Path, opened: list[Recording], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        train(recipe("breaks", "records"), tmp_path / "mine", show=False)
    assert caplog.messages == ["breaks logs no more (no route); the training goes on, metrics.jsonl has it all"]
    broken, whole = opened
    assert [step for step, _ in broken.lines][-1] == STOPS_AT
    assert broken.closed is None
    assert list(floats(tmp_path / "mine")) == [step for step, _ in whole.lines] == [2, 3, 4, 6, 8]


def test_a_tracker_that_cannot_be_opened_leaves_nothing(tmp_path: Path, opened: list[Recording]) -> None:
    @register("shut", kind="tracker")
    def shut(run: Tracked) -> None:
        (run.folder / "half").mkdir()
        raise ConnectionError("no route to host\nat all")

    line = r"^training\.track=shut: it cannot be opened \(no route to host\); nothing was trained$"
    with pytest.raises(UserError, match=line):
        train(recipe("records", "shut"), tmp_path / "mine", show=False)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [".lock"]
    assert opened[0].closed == ({}, False)
    train(recipe("records"), tmp_path / "mine", show=False)


def test_names_of_trackers_are_checked_and_may_be_written_as_text() -> None:
    assert TrainingConfig.parse({"steps": 1, "track": "mlflow, wandb,mlflow"}).track == ("mlflow", "wandb")
    assert TrainingConfig.parse({"steps": 1, "track": []}).track == ()
    with pytest.raises(UserError, match=r"field 'track'.*unknown tracker 'wandbb'; did you mean 'wandb'\?"):
        TrainingConfig.parse({"steps": 1, "track": "wandbb"})


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_library_is_one_line_before_any_work(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda library: None)
    with pytest.raises(NotSupportedError):
        train(recipe(name), tmp_path / "mine", show=False)
    words = f"train compact --data moving-digits --steps 2 --set training.track={name} -o {tmp_path / 'mine'}"
    with pytest.raises(SystemExit) as done:
        main(words.split())
    assert done.value.code == 2
    line = f"nextframe: training.track={name} needs {name}: pip install 'nextframe[track]'\n"
    assert capsys.readouterr().err == line
    assert not (tmp_path / "mine").exists()


# --- TensorBoard ------------------------------------------------------------------------------------------------


def test_tensorboard_shows_what_stands_in_the_log_once(tmp_path: Path, opened: list[Recording]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    stopped_and_resumed(tmp_path / "mine", "tensorboard")
    events = EventAccumulator(str(tmp_path / "mine" / "tensorboard")).Reload()
    shown: dict[int, dict[str, float]] = {}
    for name in events.Tags()["scalars"]:
        for event in events.Scalars(name):
            if not name.startswith("kept/"):
                assert name not in shown.setdefault(event.step, {}), "a step that was logged twice is shown once"
                shown[event.step][name] = event.value
    logged = floats(tmp_path / "mine")
    assert {step: set(values) for step, values in shown.items()} == {step: set(v) for step, v in logged.items()}
    for step, values in logged.items():
        assert shown[step] == pytest.approx(values, rel=1e-6), step  # events are in 32 bits
    images = events.Images("samples")
    assert [event.step for event in images] == [step for step, values in logged.items() if "val/mse" in values]
    assert images[-1].encoded_image_string == (tmp_path / "mine" / "samples" / f"step-{STEPS:07d}.png").read_bytes()
    best = min(values["val/mse"] for values in logged.values() if "val/mse" in values)
    assert events.Scalars("kept/val/mse")[0].value == pytest.approx(best, rel=1e-6)
    text = events.Tensors("recipe/text_summary")[0].tensor_proto.string_val[0].decode()
    assert text.startswith("mine\n\n    model:\n      name: compact\n")


# --- Weights & Biases, offline ----------------------------------------------------------------------------------


BLOCK = 32_768  # bytes: a .wandb file is a log as LevelDB writes it, of messages that wandb describes


def records_of(file: Path) -> list[Any]:
    """What stands in a .wandb file: https://github.com/google/leveldb/blob/main/doc/log_format.md, after 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, message, found = file.read_bytes(), 7, b"", []
    assert data[:4] in (b"", b":W&B")
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:  # too little for a header: the rest of a block is empty
            place += BLOCK - place % BLOCK
            continue
        checksum, length, kind = struct.unpack_from("<IHB", data, place)
        part = data[place + 7 : place + 7 + length]
        if len(part) < length:  # it is being written
            break
        assert zlib.crc32(bytes([kind]) + part) == checksum
        message, place = message + part, place + 7 + length
        if kind in (1, 4):  # all of a message, or its last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(message)
            message = b""
            found.append(record)
    return found


def whole(file: Path) -> list[Any]:
    """All that stands in a .wandb file; another process writes the last of it a moment after its run has ended."""
    until = time.monotonic() + 60
    while True:
        records = records_of(file)
        if any(record.HasField("exit") for record in records):
            return records
        assert time.monotonic() < until, "the run did not end in the file"
        time.sleep(0.2)


def named(items: Any) -> dict[str, Any]:
    """Items of a record by name; nested names are joined by dots."""
    return {".".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def test_wandb_offline_has_what_stands_in_the_log_and_goes_on_in_the_same_run(
    tmp_path: Path, opened: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason=EXTRAS)
    for name in ("WANDB_PROJECT", "WANDB_DIR", "WANDB_NAME", "WANDB_RUN_ID", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    folder = tmp_path / "mine"
    stopped_and_resumed(folder, "wandb")
    files = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))
    assert len(files) == 2
    parts = [whole(file) for file in files]
    runs = [record.run for part in parts for record in part if record.HasField("run")]
    assert {run.run_id for run in runs} == {json.loads((folder / IDS).read_text())["wandb"]}
    assert {(run.project, run.display_name) for run in runs} == {("nextframe", "mine")}
    logged = floats(folder)
    for part, steps in zip(parts, ([2, 3, 4, 6], [6, 8]), strict=True):
        history = {row.pop("_step"): row for row in (named(r.history.item) for r in part if r.HasField("history"))}
        assert list(history) == steps
        for step, row in history.items():
            numbers = {name: value for name, value in row.items() if name in logged[step]}
            kept = {name: value for name, value in logged[step].items() if name not in TIMES}
            assert {name: value for name, value in numbers.items() if name not in TIMES} == kept
            assert set(numbers) == set(logged[step])
            if "val/mse" in numbers:
                assert (row["samples._type"], row["samples-video._type"]) == ("image-file", "video-file")
    moving = sorted((files[-1].parent / "files" / "media" / "videos").glob("samples-video_*.gif"))
    assert moving[-1].read_bytes() == (folder / "samples" / f"step-{STEPS:07d}.gif").read_bytes()
    summary: dict[str, Any] = {}
    config: dict[str, Any] = {}
    for record in parts[-1]:
        summary |= named(record.summary.update)
        config |= named([*record.config.update, *record.run.config.update])
    best = min(values["val/mse"] for values in logged.values() if "val/mse" in values)
    assert summary["kept/val/mse"] == best
    assert config["folder"] == "mine"
    assert config["model"]["fields"]["width"] == 8
    assert [record.exit.exit_code for part in parts for record in part if record.HasField("exit")] == [1, 0]


def test_wandb_without_an_account_says_how_to_do_without(tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason=EXTRAS)
    asked = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    asked |= {"HOME": str(tmp_path), "NETRC": str(tmp_path / "netrc")}  # where wandb would look for a key
    words = f"train conv2d --data moving-digits --steps 2 --set training.track=wandb -o {tmp_path / 'mine'}"
    command = [sys.executable, "-m", "nextframe", *words.split()]
    done = subprocess.run(command, env=asked, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.endswith("; WANDB_MODE=offline logs into the run folder, without an account\n")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [".lock"]


# --- MLflow -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("place", ["in the run folder", "where MLFLOW_TRACKING_URI says"])
def test_mlflow_has_what_stands_in_the_log_once_and_goes_on_in_the_same_run(
    place: str, tmp_path: Path, opened: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mlflow", reason=EXTRAS)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    uri = f"sqlite:///{folder}/mlflow/mlflow.db"
    if place != "in the run folder":
        uri = f"sqlite:///{tmp_path}/all.db"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    stopped_and_resumed(folder, "mlflow")
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("nextframe")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.info.run_name, run.info.status) == ("mine", "FINISHED")
    assert run.info.run_id == json.loads((folder / IDS).read_text())["mlflow"]
    logged, there = floats(folder), {}
    for name in run.data.metrics:
        for metric in client.get_metric_history(run.info.run_id, name):
            if not name.startswith("kept/"):
                assert name not in there.setdefault(metric.step, {}), "a step that was logged twice is there once"
                there[metric.step][name] = metric.value
    without_times = {step: {k: v for k, v in values.items() if k not in TIMES} for step, values in there.items()}
    assert without_times == {step: {k: v for k, v in v.items() if k not in TIMES} for step, v in logged.items()}
    best = min(values["val/mse"] for values in logged.values() if "val/mse" in values)
    assert run.data.metrics["kept/val/mse"] == best
    assert run.data.params["model.fields.width"] == "8"
    assert run.data.params["training.batch"] == "2"
    assert run.data.tags["folder"] == "mine"
    names = {Path(file.path).name for file in client.list_artifacts(run.info.run_id, "samples")}
    assert names == {path.name for path in (folder / "samples").iterdir()}
    assert (folder / "mlflow").exists() == (place == "in the run folder")
