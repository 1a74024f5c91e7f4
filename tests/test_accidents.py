"""What happens to a run: signals at any moment, a second run, a dead worker, a file that shrinks, a full disk."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from nextframe.checkpoint import save_model
from nextframe.cli import main
from nextframe.core.clip import Clip
from nextframe.core.errors import BadInputError, NextframeError, UserError
from nextframe.data import DataConfig, open_data
from nextframe.media.writer import write_video
from nextframe.models import MODELS
from nextframe.models.contract import Stage
from nextframe.training import ModelSection, Recipe, TrainingConfig, read_metrics, train
from nextframe.training.folder.checkpoints import load_state
from nextframe.training.folder.logs import MetricsFile, Window
from nextframe.training.folder.run_folder import LOCK
from nextframe.training.loader import Steps
from nextframe.training.parallel.processes import Terminated
from nextframe.training.run import Run
from own_models import registered
from tiny import Tiny, TinyConfig

TIMES = ("clips_per_s", "seconds")
DATA = DataConfig(context=3, horizon=2, size=(32, 32), options={"count": 1, "val_clips": 4})


class TwoStages(Tiny):
    """The same twice: what a stage leaves must not reach the next one."""

    def stages(self) -> list[Stage]:
        (one,) = super().stages()
        return [one, replace(one, name="again")]


@pytest.fixture(autouse=True)
def own_models() -> Iterator[None]:
    with registered({"tiny": Tiny, "two-stages": TwoStages}):
        yield


def recipe(model: str = "tiny", data: DataConfig = DATA, **training: Any) -> Recipe:
    usual = {"steps": 6, "batch": 4, "precision": "32", "device": "cpu", "log_every": 1, "val_every": 2}
    usual |= {"val_clips": 4, "checkpoint_every": 2}
    return Recipe(model=ModelSection(name=model), data=data, training=TrainingConfig(**(usual | training)))


def lines(folder: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in TIMES} for line in read_metrics(folder)]


# --- signals ----------------------------------------------------------------------------------------------------


def in_the_middle(owner: type, name: str, call: int, *signals: signal.Signals) -> Callable[[], None]:
    """Return what makes the `call`-th call of a method send this process `signals` before it does its work."""
    method, calls = getattr(owner, name), []

    def signalled(self: Any, *arguments: Any, **named: Any) -> Any:
        calls.append(name)
        if len(calls) == call:
            for number in signals:
                os.kill(os.getpid(), number)
        return method(self, *arguments, **named)

    return lambda: setattr(owner, name, signalled)


PLACES = {
    "after the update, before it is counted": (Window, "add", 8),
    "in the middle of a validation": (Run, "_take", 2),
    "before a log line is written": (MetricsFile, "write", 3),
    "while a checkpoint is made": (Run, "_checkpoint", 1),
    "as the next clips are read": (Steps, "__getitem__", 3),
    "as the last checkpoint is made": (Run, "_finish", 1),
}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("place", PLACES)
def test_a_signal_at_any_moment_is_acted_on_between_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, number: signal.Signals
) -> None:
    owner, name, call = PLACES[place]
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, getattr(owner, name))  # put back at the end
        in_the_middle(owner, name, call, number)()
        with pytest.raises(Terminated if number == signal.SIGTERM else KeyboardInterrupt):
            train(recipe(), tmp_path / "cut", show=False)
    state = load_state(tmp_path / "cut" / "checkpoints")
    assert state is not None
    assert state["counters"]["step"] == lines(tmp_path / "cut")[-1]["step"]  # nothing done is lost
    train(recipe(), tmp_path / "cut", resume=True, show=False)
    train(recipe(), tmp_path / "whole", show=False)
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == handlers


def test_a_second_ctrl_c_leaves_the_last_checkpoint_and_no_half_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes before the log line of step 3 is written: that step must be taken again, and its line be there."""
    with monkeypatch.context() as patch:
        patch.setattr(MetricsFile, "write", MetricsFile.write)
        in_the_middle(MetricsFile, "write", 3, signal.SIGINT, signal.SIGINT)()
        with pytest.raises(KeyboardInterrupt):
            train(recipe(), tmp_path / "cut", show=False)
    assert load_state(tmp_path / "cut" / "checkpoints")["counters"]["step"] == 2
    train(recipe(), tmp_path / "cut", resume=True, show=False)
    train(recipe(), tmp_path / "whole", show=False)
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


def test_an_optimizer_does_not_reach_the_next_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal comes when the second stage has begun and its optimizer is not made."""
    from nextframe.training.trainer import Trainer

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_start_turns", Trainer._start_turns)
        in_the_middle(Trainer, "_start_turns", 2, signal.SIGINT, signal.SIGINT)()
        with pytest.raises(KeyboardInterrupt):
            train(recipe("two-stages"), tmp_path / "cut", show=False)
    train(recipe("two-stages"), tmp_path / "cut", resume=True, show=False)
    train(recipe("two-stages"), tmp_path / "whole", show=False)
    assert lines(tmp_path / "cut") == lines(tmp_path / "whole")


# --- two runs ---------------------------------------------------------------------------------------------------


@pytest.mark.any_processor
def test_a_second_run_into_the_same_folder_is_refused(tmp_path: Path) -> None:
    fcntl = pytest.importorskip("fcntl")  # Windows has other locks: test_platforms.py
    folder = tmp_path / "run"
    folder.mkdir()
    with (folder / LOCK).open("w") as held:  # another process does the same
        held.write("1234")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        for resume in (False, True):
            with pytest.raises(BadInputError, match=r"run: another process \(1234\) is writing to it; wait, or give"):
                train(recipe(), folder, resume=resume, show=False)
        assert [path.name for path in folder.iterdir()] == [LOCK]
    train(recipe(), folder, show=False)  # the lock of a process that is gone holds nothing
    with pytest.raises(UserError, match="exists already"):
        train(recipe(), folder, show=False)


@pytest.mark.slow
def test_a_killed_run_leaves_no_lock_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nextframe", "train", "compact", "--steps", "100000"]
    command += ["--set", "training.checkpoint_every=2", "--size", "32x32", "--batch", "2", "--data", "moving-digits"]
    command += ["-o", str(tmp_path / "run")]
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoints" / "last").exists():
        assert time.monotonic() < until
        time.sleep(0.1)
    second = subprocess.run([*command, "--resume"], capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert f"another process ({first.pid}) is writing to it" in second.stderr
    first.kill()
    first.wait()
    done = subprocess.run([*command, "--resume", "--minutes", "0.001"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- workers ----------------------------------------------------------------------------------------------------


@pytest.mark.any_processor
def test_a_dead_worker_is_one_line(tmp_path: Path) -> None:
    clips = open_data(DATA)
    clips.__class__ = Fatal
    why = r"died \(killed by signal: Killed, as when memory runs out\): .*training\.workers.* continue with --resume -o"
    with pytest.raises(NextframeError, match=why) as caught:
        train(recipe(workers=1), tmp_path / "run", show=False, clips=clips)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1


@pytest.mark.any_processor
def test_a_mistake_in_a_worker_keeps_its_line(tmp_path: Path) -> None:
    clips = open_data(DATA)
    clips.__class__ = Unreadable
    with pytest.raises(UserError) as caught:
        train(recipe(workers=1), tmp_path / "run", show=False, clips=clips)
    assert str(caught.value) == "film.mp4: frame 3 is damaged"


class Fatal(type(open_data(DATA))):  # type: ignore[misc]
    def read(self, split: str, indices: Any) -> Clip:
        if split == "train":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().read(split, indices)  # type: ignore[no-any-return]


class Unreadable(type(open_data(DATA))):  # type: ignore[misc]
    def read(self, split: str, indices: Any) -> Clip:
        raise BadInputError("film.mp4", "frame 3 is damaged")


# --- a full disk ------------------------------------------------------------------------------------------------

SMALL_DISK = "mkdir -p {0} && mount -t tmpfs -o size={1}k tmpfs {0} && "


def on_a_small_disk(folder: Path, kib: int, python: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a name space of its own, in which `folder` is a disk of `kib` KiB."""
    shell = SMALL_DISK.format(folder, kib) + f"exec {sys.executable} -"
    command = ["unshare", "-rm", "sh", "-c", shell]
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("needs a mount name space of its own")
    return subprocess.run(command, input=python, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)


FILL = """
import os, sys, logging
from pathlib import Path
disk = Path({0!r})
def fill(left):
    free = os.statvfs(disk)
    with open(disk / "rest", "ab") as file:
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - left)))
"""
TRAIN = """
from test_accidents import Tiny, MODELS, recipe, train
from nextframe.core.errors import NextframeError
from nextframe.training.run import Run
MODELS.add("tiny", Tiny)
checkpoint, count = Run._checkpoint, []
def filled(self):
    count.append(1)
    if len(count) == 2:
        fill(1000)
    checkpoint(self)
Run._checkpoint = filled
try:
    train(recipe(), disk / "run", show=False)
except NextframeError as error:
    print(error)
(disk / "rest").unlink()
Run._checkpoint = checkpoint
run = train(recipe(), disk / "run", resume=True, show=False)
print("step", run.trainer.step)
"""


@pytest.mark.any_processor
def test_training_on_a_full_disk_is_one_line_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    done = on_a_small_disk(disk, 4000, FILL.format(str(disk)) + TRAIN)
    assert done.returncode == 0, done.stderr
    said, end = done.stdout.splitlines()
    assert said.startswith(f"{disk}/run/checkpoints/last/state.pt: cannot be written: the disk is full (")
    assert "MiB are free, about 0.0 MiB are needed); make room there" in said
    assert end == "step 6"
    assert done.stderr == ""


EVERYWHERE = """
import shutil
for left in (0, 4096, 12288, 65536):
    (disk / "rest").unlink(missing_ok=True)
    shutil.rmtree(disk / "run", ignore_errors=True)
    fill(left)
    try:
        train(recipe(), disk / "run", show=False)
    except NextframeError as error:
        print(error)
"""


@pytest.mark.any_processor
def test_no_place_of_a_run_tells_a_full_disk_in_another_way(tmp_path: Path) -> None:
    """Full from the start, or after some pages of recipe, events, log or images."""
    disk = tmp_path / "disk"
    done = on_a_small_disk(disk, 2000, FILL.format(str(disk)) + TRAIN.split("checkpoint, count")[0] + EVERYWHERE)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    assert all("cannot be written: the disk is full (" in line for line in done.stdout.splitlines()), done.stdout
    assert done.stderr == ""


VERBS = """
from nextframe.cli import main
for words in (
    ["prepare", "gifs", "-o", str(disk / "clips"), "--clips", "400", "--held-out", "4"],
    ["benchmark", "gif-next", "--data", "gifs", "--models", "conv2d", "--steps", "2", "-o", str(disk / "rows")],
):
    fill(20_000)
    try:
        main([*words, "--quiet"])
    except SystemExit as done:
        print("exit code", done.code)
    (disk / "rest").unlink()
"""


@pytest.mark.any_processor
def test_preparing_and_comparing_on_a_full_disk_are_one_line(tmp_path: Path) -> None:
    disk, random = tmp_path / "disk", np.random.default_rng(0)
    (tmp_path / "gifs").mkdir()
    for number in range(12):
        write_gif(tmp_path / "gifs" / f"{number}.gif", random.integers(0, 255, (8, 40, 40), np.uint8))
    done = on_a_small_disk(disk, 4000, f"import os; os.chdir({str(tmp_path)!r})" + FILL.format(str(disk)) + VERBS)
    assert done.stdout == "exit code 2\nexit code 2\n"
    said = done.stderr.splitlines()
    assert len(said) == 2
    assert said[0].startswith(f"nextframe: {disk}/clips: cannot be written: the disk is full (")
    assert said[1].startswith(f"nextframe: {disk}/rows/conv2d")
    assert "cannot be written: the disk is full (" in said[1]


def write_gif(path: Path, frames: Any) -> None:
    first, *others = map(Image.fromarray, frames)
    first.save(path, save_all=True, append_images=others, duration=100, loop=0)


# --- a file that shrinks ----------------------------------------------------------------------------------------

SHRINK = """
import numpy as np, os
from nextframe.core.errors import NextframeError
from nextframe.media.reader import open_source
def tried(read):
    try:
        read()
    except NextframeError as error:
        print(error)
np.save("a.npy", np.zeros((200, 64, 64), np.uint8))
frames = open_source("a.npy").frames()
next(frames)
os.truncate("a.npy", 5000)
tried(lambda: list(frames))
"""


@pytest.mark.any_processor
def test_an_array_that_is_truncated_while_it_is_read_is_one_line(tmp_path: Path) -> None:
    """In a process of its own: where it is not noticed, the system ends it (SIGBUS)."""
    done = subprocess.run([sys.executable, "-c", SHRINK], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    left = "5,000 of 819,328 bytes are left: it was made shorter while it was read; put the whole file there"
    assert done.stdout == f"a.npy: {left}\n"


# --- small things -----------------------------------------------------------------------------------------------


@pytest.mark.any_processor
@pytest.mark.parametrize("verb", [["data"], ["predict"], ["train"]])
def test_an_interrupted_verb_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    plugin = tmp_path / "plugin.py"
    plugin.write_text("raise KeyboardInterrupt\n")
    with pytest.raises(SystemExit) as done:
        main([*verb, str(tmp_path), "--plugin", str(plugin)])
    assert done.value.code == 130
    assert capsys.readouterr().err == "nextframe: interrupted\n"


@pytest.mark.any_processor
def test_weights_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "any").touch()
    save_model(MODELS.get("tiny")(TinyConfig()), tmp_path / "model")
    modes = [path.stat().st_mode for path in (tmp_path / "any", *(tmp_path / "model").iterdir())]
    assert len(modes) == 3
    assert len(set(modes)) == 1


@pytest.mark.any_processor
def test_a_message_names_no_temporary_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="nextframe"):
        write_video(tmp_path / "next.mp4", torch.zeros(3, 1, 33, 33, dtype=torch.uint8), 10)
    assert [record.getMessage() for record in caplog.records] == [
        "H.264 needs even sizes: the last row or column of 33x33 is repeated"
    ]


@pytest.mark.any_processor
def test_a_program_that_ends_amid_reading_does_not_wait_for_its_readers(tmp_path: Path) -> None:
    """Readers block signals, so the signal by which Python ends its processes does not reach them."""
    (tmp_path / "mine.py").write_text(
        "from nextframe.data import DataConfig, open_data\n"
        "from nextframe.training.loader import Steps, training_batches\n\n"
        "if __name__ == '__main__':\n"
        "    clips = open_data(DataConfig(context=1, horizon=1))\n"
        "    batches = training_batches(Steps(clips, 'train', 0, 2), 0, 100, workers=1)\n"
        "    print(next(batches).context.shape[0], flush=True)\n"
        "    raise SystemExit(3)\n"
    )
    done = subprocess.run([sys.executable, "mine.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("2\n", "", 3)
