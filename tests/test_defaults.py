"""What is done where a user says nothing: how a model starts, its data, the run folder, and what is said."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

import nextframe as nf
from nextframe.api.data import any_size
from nextframe.checkpoint import create_model, load_model
from nextframe.cli import main
from nextframe.cli.train import size_unsaid
from nextframe.core import progress
from nextframe.core.clip import Clip, last_frame_stays
from nextframe.core.errors import UserError
from nextframe.core.progress import ProgressBar
from nextframe.data import DataConfig, open_data
from nextframe.recipes import load_recipe
from nextframe.training import ModelSection, Recipe, TrainingConfig, override, read_metrics, train
from nextframe.training.folder.run_folder import newest_run, next_folder
from nextframe.training.recipe import read_recipe
from nextframe.training.run import Run
from nextframe.training.validation import Cadence

SMALL = {"patch": 8, "width": 8, "blocks": 1, "kernel": 3}
DIGITS = DataConfig(context=10, horizon=10, options={"val_clips": 8})
WORDS = [f"model.{name}={value}" for name, value in SMALL.items()]
WORDS = ["--steps", "1", "--batch", "2", *(w for s in [*WORDS, "run.report=false"] for w in ("--set", s))]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of short films: a bright square moves over a grey picture that stays."""
    monkeypatch.setenv("NEXTFRAME_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "films").mkdir()
    picture = np.random.default_rng(0).integers(40, 200, (4, 32, 32), np.uint8)
    for number, ground in enumerate(picture):
        film = np.repeat(ground[None], 30, 0)
        for step, frame in enumerate(film):
            frame[8:14, step % 24 : step % 24 + 6] = 255
        np.save(tmp_path / "films" / f"film{number}.npy", film)
    return tmp_path


def recipe(data: DataConfig | None = None, **fields: object) -> Recipe:
    films = DataConfig(name="films", context=3, horizon=2)
    training = TrainingConfig(steps=2, batch=2, val_clips=2, precision="32", log_every=1)
    return Recipe(model=ModelSection(name="compact", fields=SMALL | fields), data=data or films, training=training)


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """The exit code of a command, and what it says on stderr."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0), capsys.readouterr().err


# --- what the clips decide


@pytest.mark.parametrize("color", [1, 3])
def test_the_last_frame_of_a_film_stays(color: int) -> None:
    films = open_data(recipe().data).read("train", np.arange(8)).to("cpu")
    colored = [frames.expand(-1, -1, color, -1, -1) for frames in (films.context, films.target)]
    assert last_frame_stays(Clip(*colored))
    assert not last_frame_stays(Clip(torch.rand(4, 3, 1, 16, 16), torch.rand(4, 2, 1, 16, 16)))


@pytest.mark.parametrize("name", ["moving-digits", "motion-digits", "pushed-digits"])
@pytest.mark.parametrize(("context", "horizon", "size"), [(10, 10, (64, 64)), (3, 1, (32, 32))])
def test_that_of_digits_does_not(name: str, context: int, horizon: int, size: tuple[int, int]) -> None:
    """In small frames they hardly move in one step, but what stays is black."""
    data = DataConfig(name=name, context=context, horizon=horizon, size=size)
    assert not last_frame_stays(open_data(data).read("train", np.arange(8)).to("cpu"))


@pytest.mark.parametrize(("data", "residual"), [(None, True), (DIGITS, False)])
def test_a_new_run_decides_and_keeps_it(data: DataConfig | None, residual: bool, capsys, monkeypatch) -> None:
    monkeypatch.setattr(progress, "unheard", lambda: True)
    train(recipe(data), Path("run"))
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "residual" in line] == [
        f"compact: model.residual={str(residual).lower()}, as 8 training clips suggest (unless it is set)"
    ]
    assert read_recipe(Path("run")).model.fields["residual"] is residual
    assert load_model("run").config.residual is residual


def test_what_a_recipe_says_is_not_decided(capsys, monkeypatch) -> None:
    monkeypatch.setattr(progress, "unheard", lambda: True)
    train(recipe(residual=False), Path("run"))
    assert "residual" not in capsys.readouterr().err
    assert load_model("run").config.residual is False


def test_a_resumed_run_keeps_what_was_decided() -> None:
    train(recipe(), Path("run"), show=False)
    longer = override(recipe(), {"training.steps": 4})
    stored = override(read_recipe(Path("run")), {"training.steps": 3})
    assert train(stored, Path("run"), resume=True, show=False).model.config.residual is True
    assert train(longer, Path("run"), resume=True, show=False).recipe.model.fields["residual"] is True
    with pytest.raises(UserError, match=r"another model\.fields"):
        train(recipe(residual=False), Path("run"), resume=True, show=False)


def test_a_run_of_an_earlier_version_stays_as_it_was() -> None:
    """Its recipe says nothing, and its model painted from nothing."""
    train(recipe(residual=False), Path("run"), show=False)
    stored = Path("run/recipe.yaml")
    stored.write_text(stored.read_text().replace("    residual: false\n", ""))
    assert read_recipe(stored) == recipe()
    run = train(override(recipe(), {"training.steps": 4}), Path("run"), resume=True, show=False)
    assert run.model.config.residual is False
    assert run.trainer.step == 4


def test_a_run_that_starts_from_weights_has_their_fields() -> None:
    train(recipe(residual=False), Path("old"), show=False)
    again = train(override(recipe(), {"training.start_from": "old"}), Path("new"), show=False)
    assert again.model.config.residual is False
    assert read_recipe(Path("new")).model.fields["residual"] is False


def test_fit_says_what_was_decided_and_leaves_a_given_model_alone() -> None:
    more = {"steps": 1, "context": 3, "horizon": 2, "quiet": True}
    settings = {"training.val_clips": 2, **{f"model.{name}": value for name, value in SMALL.items()}}
    run = nf.fit("compact", "films/", settings=settings, **more)
    assert run.recipe == read_recipe(run.folder)
    assert run.model.config.residual is True
    given = create_model("compact", context=3, horizon=2, channels=1, **SMALL)
    assert nf.fit(given, "films/", settings={"training.val_clips": 2}, **more).model.config.residual is False


@pytest.mark.slow
def test_several_processes_decide_alike() -> None:
    run = train(recipe(), Path("run"), devices=2, show=False)
    assert run.model.config.residual is True
    assert run.recipe.model == read_recipe(Path("run")).model


def test_what_starts_at_the_last_frame_learns_slowly() -> None:
    rates = {
        residual: create_model("compact", residual=residual, **SMALL).stages()[0].objectives[0].optimizer.lr
        for residual in (False, True)
    }
    assert rates == {False: 0.02, True: 1e-3}


@pytest.mark.slow
def test_a_minute_on_six_videos_is_better_than_the_last_frame(shared: Path) -> None:
    """The three of train are learnt by heart in no time: what is kept must be of use on the one of val all the same."""
    Path("mine").mkdir()
    for name in (
        *("facebookresearch__co-tracker/apple.mp4", "facebookresearch__co-tracker/bear.mp4"),
        *("facebookresearch__co-tracker/cat.mp4", "imageio__test_images/cockatoo.mp4"),
        *("mdn__interactive-examples/friday.mp4", "open-mmlab__mmaction2/demo_spatiotemporal_det.mp4"),
    ):
        if not (shared / "videos" / name).exists():
            pytest.skip(f"{name} is not here")
        (Path("mine") / Path(name).name).symlink_to(shared / "videos" / name)
    data = DataConfig(name="mine", context=10, horizon=10, size=(64, 64))
    training = TrainingConfig(steps=150, val_every=50, precision="32")
    train(Recipe(model=ModelSection(name="compact"), data=data, training=training), Path("run"), show=False)
    errors = [line["val/mse"] for line in read_metrics(Path("run")) if "val/mse" in line]
    clip = open_data(data).read("val", np.arange(min(128, open_data(data).count("val") or 128))).to("cpu")
    last = float((clip.context[:, -1:] - clip.target).square().mean())
    assert min(errors) < 0.97 * last


# --- data


@pytest.mark.parametrize("more", [[], ["--set", "data.options.digits=embedded"], ["--resume"]])
def test_a_model_without_data_is_refused_in_one_line(more: list[str], capsys) -> None:
    code, said = told(capsys, "train", "compact", *more)
    assert code == 2
    line = "compact is a model, so give its data: --data my_videos/ (a path) or --data moving-digits"
    assert said == f"nextframe: {line}\n"
    assert not Path("runs").exists()


def test_recipes_and_runs_have_their_data(capsys) -> None:
    Path("mine.yaml").write_text(recipe().to_yaml())
    words = ("train", "mine.yaml", "--quiet", "--set", "run.report=false")
    assert told(capsys, *words)[0] == 0
    assert told(capsys, *words, "--resume", "--steps", "3")[0] == 0
    mix = "data.mix=[{name: moving-digits, share: 1}]"
    code, said = told(capsys, "train", "compact", "--set", mix, *WORDS, "--quiet")
    assert code == 0, said
    assert told(capsys, "train", "compact", "--resume", *WORDS, "--quiet")[0] == 0, "the run has its data"


def test_data_of_several_sizes_is_shown_as_it_is_trained_on(capsys) -> None:
    np.save("films/wide.npy", np.zeros((30, 40, 96), np.uint8))
    code, shown = shown_by(capsys, "data", "films", "--context", "3", "--horizon", "2", "--json", "facts.json")
    assert code == 0
    assert shown[-2:] == [
        "each frame 64x64, grey",
        "sizes differ: read at 64x64, as train does; --size HEIGHTxWIDTH chooses another size",
    ]
    assert "clips: train 0" not in "\n".join(shown)
    assert "sizes differ" not in "\n".join(shown_by(capsys, "data", "films", "--size", "32x32")[1])
    Path("films/wide.npy").unlink()
    assert shown_by(capsys, "data", "films")[1][-1] == "each frame 32x32, grey"


def shown_by(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str]]:
    """The exit code of a command, and the lines that it prints."""
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    return int(ended.value.code or 0), capsys.readouterr().out.strip().splitlines()


def test_prepared_clips_keep_their_size_whatever_their_folder_is_called() -> None:
    assert any_size("clips"), "rows with videos, which have no name of their own"
    for name in ("clips", "prepared"):
        Path(name).mkdir()
        Path(name, "prepared.json").touch()
        assert not any_size(name)
    assert any_size("films")


SIZE_SAID = "{}: frames are read at 64x64; --size HEIGHTxWIDTH chooses another size"


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What `nextframe train` tells before the training itself."""
    told: list[str] = []
    monkeypatch.setattr("nextframe.cli.train.tell", lambda logger, text: told.append(text))
    return told


def test_videos_of_any_size_are_read_at_one_that_is_said(capsys, lines: list[str]) -> None:
    """As `nf.fit` does; without it, phone videos are refused if their sizes differ, and trained on in full if not."""
    np.save("films/wide.npy", np.zeros((30, 40, 96), np.uint8))
    words = ["train", "compact", "--data", "films/", "--context", "3", "--horizon", "2", *WORDS]
    code, said = told(capsys, *words, "-o", "unsaid")
    assert code == 0, said
    assert SIZE_SAID.format("films/") in lines
    assert read_recipe(Path("unsaid")).data.size == (64, 64)
    for more in (["--size", "32x48"], ["--set", "data.size=[32,48]"]):
        lines.clear()
        code, said = told(capsys, *words, *more, "-o", f"said{len(more[1])}")
        assert code == 0, said
        assert not lines
        assert read_recipe(Path(f"said{len(more[1])}")).data.size == (32, 48)


def test_a_recipe_that_names_no_size_keeps_that_of_the_files() -> None:
    asked = {"data.name": "films"}
    assert size_unsaid("mathieu-paper", load_recipe("mathieu-paper"), asked) == {}
    assert size_unsaid("compact", load_recipe("compact"), asked) == {"data.size": (64, 64)}


def test_a_run_of_an_earlier_version_keeps_the_size_of_its_files(capsys) -> None:
    train(recipe(), Path("old"), show=False)
    assert read_recipe(Path("old")).data.size is None
    code, said = told(capsys, "train", "compact", "-o", "old", "--resume", "--data", "films", "--steps", "3", "--quiet")
    assert code == 0, said
    assert read_recipe(Path("old")).data.size is None


def test_a_sweep_reads_videos_at_the_same_size(capsys, lines: list[str]) -> None:
    pytest.importorskip("optuna", reason="needs optuna: requirements-extras.lock")
    words = ["sweep", "compact", "--data", "films", "--context", "3", "--horizon", "2", "--steps", "1", *WORDS[4:-2]]
    code, said = told(capsys, *words, "--over", "training.lr=1e-3,1e-2", "-o", "swept")
    assert code == 0, said
    assert SIZE_SAID.format("films") in lines
    assert {read_recipe(path.parent).data.size for path in Path("swept").rglob("recipe.yaml")} == {(64, 64)}


def test_the_first_line_comes_before_torch_is_imported() -> None:
    """The import takes seconds on a busy machine. A log has no such line: a mistake stays one line there."""
    script = (
        "import os, sys\n"
        "from nextframe.cli.train import train\n"
        "class Terminal:\n"
        "    def isatty(self): return True\n"
        "    def write(self, text): os.write(1, f'{text}torch: {\"torch\" in sys.modules}'.encode())\n"
        "    def flush(self): os._exit(0)\n"
        "sys.stderr = Terminal()\n"
        "train('compact', data='films/')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "compact: starting\ntorch: False"


# --- the run folder


def test_folders_are_numbered_and_resume_takes_the_newest(capsys) -> None:
    words = ["train", "compact", "--data", "films/", "--context", "3", "--horizon", "2", *WORDS]
    for folder in ("compact", "compact-2", "compact-3"):
        code, said = told(capsys, *words)
        assert code == 0, said
        assert sorted(path.name for path in Path("runs").iterdir())[-1] == folder
    assert newest_run("compact") == Path("runs/compact-3")
    told(capsys, *words, "-o", "runs/compact-2", "--resume", "--steps", "2")
    code, said = told(capsys, *words, "--resume", "--steps", "3", "--set", "training.log_every=1")
    assert code == 0, said
    assert load_state_step(Path("runs/compact-2")) == 3
    assert load_state_step(Path("runs/compact-3")) == 1
    assert newest_run("compact-9") is None


def load_state_step(folder: Path) -> int:
    return int(read_metrics(folder)[-1]["step"])


def test_processes_that_others_started_share_a_folder(monkeypatch) -> None:
    Path("runs/compact").mkdir(parents=True)
    assert next_folder("compact") == Path("runs/compact-2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert next_folder("compact") == Path("runs/compact")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--data", "flims/"], "unknown data set or path 'flims/'"),
        (["--data", "films/", "--set", "model.widht=3"], "did you mean 'width'"),
        (["--data", "films/", "--set", "training.optimizer=adan"], "did you mean 'adam'"),
    ],
)
def test_what_is_given_is_checked_before_the_folder(words: list[str], says: str, capsys) -> None:
    Path("taken").mkdir()
    Path("taken/letter.txt").touch()
    for folder in ("taken", "new"):
        code, said = told(capsys, "train", "compact", *words, "--steps", "1", "-o", folder)
        assert code == 2
        assert says in said
    assert not Path("new").exists()
    code, said = told(capsys, "train", "compact", "--data", "films/", "--context", "3", *WORDS, "-o", "taken")
    assert code == 2
    assert "taken exists already" in said
    assert [path.name for path in Path("taken").iterdir()] == ["letter.txt"]


# --- what is said


class Heard(logging.Handler):
    """Keeps when each line of progress came."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((time.monotonic(), record.getMessage()))


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heard]:
    handler, level = Heard(), progress.LOG.level
    monkeypatch.setattr(progress, "unheard", lambda: False)
    progress.LOG.addHandler(handler)
    progress.LOG.setLevel(logging.INFO)
    yield handler
    progress.LOG.setLevel(level)
    progress.LOG.removeHandler(handler)


def test_a_training_says_at_once_that_it_begins_and_then_the_time_left(heard: Heard, monkeypatch) -> None:
    begun: list[float] = []
    started = Run._train

    def noted(self: Run) -> None:
        begun.append(time.monotonic())
        started(self)

    monkeypatch.setattr(Run, "_train", noted)
    train(override(recipe(), {"training.steps": 6, "training.log_every": 3, "training.val_every": 3}), Path("run"))
    (first, line), *others = heard.lines
    assert first - begun[0] < 1
    assert line == "compact: step 1 (0%)  6 training steps, into run"
    assert [text.split(" (")[0] for _, text in others] == [f"compact: step {step}" for step in (3, 3, 6, 6)]
    assert all(text.endswith(" left") for _, text in others)


def test_slow_steps_are_heard_of_now_and_then(heard: Heard, monkeypatch) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with ProgressBar("work") as bar:
        bar.begin(1, 0.0, "100 steps")
        for step in range(1, 101):
            now[0] += 10
            bar.update(step / 100, step)
        bar.update(1.0)
    steps = [text for _, text in heard.lines]
    assert steps[0] == "work: step 1 (0%)  100 steps"
    assert steps[1:3] == ["work: step 3 (3%)  16:10 left", "work: step 6 (6%)  15:40 left"]
    assert len(steps) == 1 + 33


class Terminal(io.StringIO):
    """What a person at a terminal sees, line by line, without the codes for colour and place."""

    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        plain = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", self.getvalue())
        return [line.strip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


def test_on_a_terminal_the_plan_is_a_line_and_the_bar_has_no_time_until_one_is_known(monkeypatch) -> None:
    now, terminal = [100.0], Terminal()
    monkeypatch.setattr(progress.sys, "stderr", terminal)
    monkeypatch.setattr("rich.console.monotonic", lambda: now[0])
    for name, value in (("TERM", "xterm"), ("COLUMNS", "100")):
        monkeypatch.setenv(name, value)
    with ProgressBar("compact") as bar:
        bar.begin(1, 0.0, "0.1 minutes, into runs/compact-2")
        bar.bar.refresh()
        first = terminal.lines()
        for step in range(1, 5):
            now[0] += 1
            bar.say(step, step / 8, "loss 0.5")
        bar.bar.refresh()
        last = terminal.lines()[-1]
    assert [line for line in first if "minutes" in line] == ["compact: 0.1 minutes, into runs/compact-2"]
    assert re.fullmatch(r"compact \S+ +0% step 1", first[-1])
    assert re.fullmatch(r"compact .* 50% step 4  loss 0\.5 0:00:04 left", last)


def test_a_run_by_minutes_is_validated_at_each_tenth_of_its_time() -> None:
    """A laptop takes 50 to 700 steps in two minutes, and on few videos the best weights are early ones."""
    timed = Cadence(TrainingConfig(minutes=2))
    due = [step for step in range(1, 102) if timed.is_due(step, step / 101)]
    assert due == [11, 21, 31, 41, 51, 61, 71, 81, 91, 101]
    resumed = Cadence(TrainingConfig(minutes=2))
    assert [step for step in range(50, 62) if resumed.is_due(step, step / 101)] == [51, 61]
    for config in (TrainingConfig(steps=101), TrainingConfig(minutes=2, val_every=500)):
        assert [step for step in range(1, 102) if Cadence(config).is_due(step, step / 101)] == [101]
    fast = Cadence(TrainingConfig(minutes=2))
    assert [step for step in range(1, 9001) if fast.is_due(step, step / 9000)] == sorted(
        {*range(900, 9001, 900), *range(500, 9001, 500)}
    )


# --- sizes


SIZED = (
    *(
        "data films",
        "evaluate copy-last",
        "train compact --data films",
        "prepare films -o x",
        "predict films/film0.npy",
    ),
    *("export run -o x.onnx", "transfer run", "latent run"),
)


@pytest.mark.parametrize("line", SIZED)
def test_a_size_is_written_in_one_way(line: str, capsys) -> None:
    for size in ("16", "16x", "16x16x16", "x16", "0x16"):
        code, said = told(capsys, *line.split(), "--size", size)
        assert code == 2
        assert said == f"nextframe: --size '{size}': write HEIGHTxWIDTH, for example 64x64\n"
